#define _GNU_SOURCE
#include "tracer.h"
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Other clients of CUPTI inside the program, as torch.profiler's Kineto. CUPTI refuses whoever subscribes second, and tells nobody else
   of it: the program would run on without its own profiler. So in every library that is linked with CUPTI two functions lead here: the
   one that subscribes, and the one that says what an error is called, which is all that is left to see of a client that was about to
   subscribe when its call brought this tracer in. A client that finds CUPTI by dlsym is not seen. */
static int (*name_of)(int, const char **);
static int second;

static void found(void) {
    refuse("another client of CUPTI is inside the program, torch.profiler for one, and CUPTI serves one client alone");
}
static int subscribes(void **handle, void *callback, void *data) {
    (void)handle, (void)callback, (void)data;
    found();
    return second;
}
static int names(int code, const char **text) {
    if (code == second)
        found();
    return name_of(code, text);
}

static void *instead_of(const char *name) {
    if (!strcmp(name, "cuptiSubscribe") || !strcmp(name, "cuptiSubscribe_v2"))
        return (void *)subscribes;
    return strcmp(name, "cuptiGetResultString") ? NULL : (void *)names;
}

typedef struct {
    ElfW(Addr) base;
    const char *strings;
    const ElfW(Sym) *symbols;
} linked_t;

/* What was made read-only after loading stays writable: beside it lie addresses that are bound later. */
static void lead_here(const linked_t *in, const ElfW(Rela) *one, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (const ElfW(Rela) *end = one + bytes / sizeof *one; one < end; one++) {
        void *function = instead_of(in->strings + in->symbols[ELF64_R_SYM(one->r_info)].st_name);
        void **slot = (void **)(in->base + one->r_offset);
        if (function && !mprotect((void *)((uintptr_t)slot & ~(page - 1)), page, PROT_READ | PROT_WRITE))
            *slot = function;
    }
}

enum { TAGS = DT_JMPREL + 1 };

/* The dynamic section by tag. glibc has made its addresses absolute, musl leaves them relative. */
static void read_dynamic(const struct dl_phdr_info *info, uintptr_t value[TAGS]) {
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            for (const ElfW(Dyn) *one = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr); one->d_tag != DT_NULL; one++)
                if (one->d_tag < TAGS)
                    value[one->d_tag] = one->d_un.d_val;
    static const int addresses[] = {DT_STRTAB, DT_SYMTAB, DT_JMPREL, DT_RELA};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (value[addresses[i]] && value[addresses[i]] < info->dlpi_addr)
            value[addresses[i]] += info->dlpi_addr;
}

static int in_library(struct dl_phdr_info *info, size_t size, void *unused) {
    const char *slash = strrchr(info->dlpi_name, '/'), *name = slash ? slash + 1 : info->dlpi_name;
    uintptr_t value[TAGS] = {0};
    (void)size, (void)unused;
    if (!strncmp(name, "libcupti", 8) || !strncmp(name, "linux-vdso", 10))
        return 0;
    read_dynamic(info, value);
    linked_t in = {info->dlpi_addr, (const char *)value[DT_STRTAB], (const void *)value[DT_SYMTAB]};
    if (in.strings && in.symbols) {
        lead_here(&in, (const void *)value[DT_JMPREL], value[DT_JMPREL] ? value[DT_PLTRELSZ] : 0);
        lead_here(&in, (const void *)value[DT_RELA], value[DT_RELA] ? value[DT_RELASZ] : 0);
    }
    return 0;
}

void clients_watch(int (*get_name)(int, const char **), int code) {
    name_of = get_name;
    second = code;
    dl_iterate_phdr(in_library, NULL);
}
