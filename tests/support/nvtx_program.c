/* Every call of NVTX 3 that leaves a mark, by its own headers; what Nsight Systems 2023.4 recorded of it is in
   golden/nvtx-by-nsys-2023.4.txt. Without a NULL name and without bytes that are no UTF-8: that nsys crashes at the first (so it was
   seen), and exports nothing after the second. */
#include <nvtx3/nvToolsExt.h>
#include <pthread.h>
#include <unistd.h>
#include <wchar.h>

static nvtxRangeId_t across;
static nvtxDomainHandle_t train;

static void *other_thread(void *nothing) {
    nvtxRangePushA("in a thread");
    nvtxDomainRangeEnd(train, across);
    nvtxRangePop();
    return nothing;
}

int main(void) {
    pthread_t thread;
    train = nvtxDomainCreateA("train");
    nvtxDomainHandle_t cafe = nvtxDomainCreateW(L"caf\u00e9");
    nvtxNameCategoryA(3, "a category");
    nvtxDomainNameCategoryA(train, 4, "of a domain");
    nvtxNameCategoryW(5, L"\ubc94\uc8fc");
    nvtxNameOsThreadA((uint32_t)getpid(), "main thread");
    nvtxStringHandle_t name = nvtxDomainRegisterStringA(train, "registered \xc3\xbc");
    nvtxEventAttributes_t a = {0};
    a.version = NVTX_VERSION;
    a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    a.category = 4;
    a.colorType = NVTX_COLOR_ARGB;
    a.color = 0xff112233;
    a.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    a.message.registered = name;
    a.payloadType = NVTX_PAYLOAD_TYPE_INT64, a.payload.llValue = -7;
    nvtxDomainRangePushEx(train, &a);
    a.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64, a.payload.ullValue = 1ULL << 63;
    nvtxDomainRangePushEx(train, &a);
    nvtxDomainRangePop(train);
    a.payloadType = NVTX_PAYLOAD_TYPE_DOUBLE, a.payload.dValue = 1.5;
    nvtxDomainMarkEx(train, &a);
    a.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT32, a.payload.uiValue = 4000000000u;
    nvtxDomainMarkEx(train, &a);
    a.payloadType = NVTX_PAYLOAD_TYPE_INT32, a.payload.iValue = -5;
    nvtxDomainMarkEx(train, &a);
    a.payloadType = NVTX_PAYLOAD_TYPE_FLOAT, a.payload.fValue = 2.5;
    nvtxDomainMarkEx(train, &a);
    nvtxDomainRangePop(train);
    a.payloadType = NVTX_PAYLOAD_UNKNOWN;
    a.messageType = NVTX_MESSAGE_TYPE_UNICODE, a.message.unicode = L"wide \ud55c\uae00 \U0001F600";
    nvtxDomainMarkEx(cafe, &a);
    across = nvtxDomainRangeStartEx(train, &a);
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    nvtxRangePushA("odd <b>&\n\"'");
    nvtxRangePushA("");
    nvtxRangePop();
    nvtxRangePop();
    nvtxRangePop();
    nvtxRangeEnd(99999);
    nvtxMarkA("mark");
    nvtxMarkW(L"wide mark");
    nvtxRangeId_t twice = nvtxRangeStartA("ended twice");
    nvtxRangeEnd(twice);
    nvtxRangeEnd(twice);
    nvtxRangeId_t wide = nvtxRangeStartW(L"wide start");
    nvtxRangePushW(L"wide push");
    nvtxRangeEnd(wide);
    nvtxRangePop();
    for (int i = 0; i < 3; i++) {
        nvtxRangePushA("outer");
        nvtxRangePushA("inner");
        nvtxDomainRangePushEx(train, &a);
        nvtxRangePop();
        nvtxRangePop();
        nvtxDomainRangePop(train);
    }
    nvtxDomainDestroy(cafe);
    nvtxDomainHandle_t again = nvtxDomainCreateA("train");
    a.messageType = NVTX_MESSAGE_TYPE_ASCII, a.message.ascii = "in the same domain";
    nvtxDomainRangePushEx(again, &a);
    nvtxDomainRangePop(again);
    nvtxRangePushA("never closed");
    nvtxDomainRangeStartEx(train, &a);
    return 0;
}
