"""What private things look like: patterns of bytes, for the search of `leaks`."""

from __future__ import annotations

from typing import NamedTuple


class Form(NamedTuple):
    """What something private is called, and its pattern.

    `first` are patterns of which one is found wherever `pattern` is. Each begins with a letter that it always has: `re` looks
    for that as fast as it reads, and tries any other beginning at every byte, for ten times as long. `words`, in lower case,
    are the same for what may be written in any: one of them is there, and so is one of the patterns `near`, in lower case.
    """

    what: str
    pattern: bytes
    first: tuple[bytes, ...] = ()
    words: tuple[bytes, ...] = ()
    near: tuple[bytes, ...] = ()


_MOUNTS = (
    rb"users|data\d*|datasets?|projects?|proj|export|homes|gscratch|pscratch|storage|raid\d*|nvme\d*|ssd\d*|hdd\d*|dev/shm"
    rb"|Volumes|private|afs|efs|pfs|beegfs|weka\w*|ceph\w*|cluster|global|lus|net|nas\d*|shared?|opt|run/user|nobackup|vol\d*"
)
"""First folders of a path that may also be words of a range's name."""

RULES = (
    Form(
        "an absolute path",
        rb"/(?:home\d*|root|work|tmp|Users|workspace|scratch|mnt|media|srv|nfs|lustre|gpfs|fsx|var/folders)/[\w.@/-]+",
    ),
    # what may also be a word of a range's name, only where no word stands before it
    Form("an absolute path", rb"/(?<![\w.)\]>-]/)(?:" + _MOUNTS + rb")/[\w.@/-]+"),
    Form(
        "an absolute path, percent-encoded", rb"%2[Ff](?:home\d*|root|work|tmp|Users|mnt|scratch|data\d*)%2[Ff][\w.%-]+"
    ),
    Form(
        "an absolute path in UTF-16",
        rb"/\0(?:h\0o\0m\0e\0|r\0o\0o\0t\0|w\0o\0r\0k\0|t\0m\0p\0|U\0s\0e\0r\0s\0)/\0(?:[\w./-]\0)+",
    ),
    Form(
        "a folder of Windows",
        rb"\b[A-Za-z]:\\{1,4}\w[\w. -]*\\|\\\\[\w.-]+\\+\w+",
        (rb":\\{1,4}\w[\w. -]*\\", rb"\\\\[\w.-]+\\+\w"),
    ),
    # "=" is also page 61 of a database, written between a table's name and its CREATE TABLE
    Form(
        "an environment variable",
        rb"[A-Z][A-Z0-9_]{5,}=(?!CREATE (?:TABLE|INDEX) )[\x21-\x7e]{3}",
        (rb"=(?<=[A-Z0-9_]{5}=)(?!CREATE (?:TABLE|INDEX) )[\x21-\x7e]{3}",),
    ),
    Form("a search path", rb"PATH="),
    Form("LD_PRELOAD", rb"LD_PRELOAD"),
    Form(
        "an environment, NUL-separated",
        rb"[A-Za-z_]\w{2,}=[\t\n\x20-\x7e]{0,4000}\0[A-Za-z_]\w{2,}=",
        (rb"=(?<=\w{3}=)[\t\n\x20-\x7e]{0,4000}\0[A-Za-z_]\w{2,}=",),
        (b"\0",),
    ),
    Form(
        "a table that leaks",
        rb"CREATE TABLE \W?(?:ProcessStreams|TARGET_INFO_SYSTEM_ENV|PROCESSES|ANALYSIS_FILE)\b",
    ),
)

TEXT_RULES = (
    Form("a home folder", rb"~(?<![\w~)\]>]~)[a-z_][\w-]{1,31}/[\w.@/-]+"),
    Form("a folder of Windows", rb"(?<![\w/])[A-Za-z]:/(?!/)\w[\w. -]*/", (rb":/(?<=[A-Za-z]:/)(?!/)\w[\w. -]*/",)),
    Form(
        "a place in a storage",
        rb"(?i:(?<![a-z0-9])(?:s3a?|gs|gcs|abfss?|wasbs?|hdfs|nfs|smb|ssh|sftp|ftp|rsync|file)://)/?[\w.-]+",
        tuple(
            rb":(?<=(?i:" + schemes + rb"):)///?[\w.-]"
            for schemes in (rb"s3|gs", rb"s3a|gcs|nfs|smb|ssh|ftp", rb"abfs|wasb|hdfs|sftp|file", rb"abfss|wasbs|rsync")
        ),
    ),
    Form(
        "an address of a network",
        rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}:\d{2,5}(?![\w.])",
        tuple(rb":(?<=\." + digits + rb":)\d{2,5}(?![\w.])" for digits in (rb"\d", rb"\d\d", rb"\d\d\d")),
    ),
)
"""As `RULES`, of texts that stand by themselves: in raw bytes any letter may stand before them, and these would find chance."""

KEYS = (
    Form(
        "an e-mail address",
        rb"@(?<=[\w.%+-]{2}@)[A-Za-z0-9-]{2,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.(?:[a-z]{2,24}|[A-Z]{2,24})(?![\w-])",
    ),
    Form("a private key", rb"-----BEGIN [A-Z ]*PRIVATE KEY"),
    Form("a key of SSH", rb"ssh-(?:rsa|dss|ed25519) AAAA[\w+/]{16}"),
    Form("a key of AWS", rb"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    Form("a token of GitHub", rb"gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}"),
    Form("a token of GitLab", rb"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat)-[\w-]{20}"),
    Form(
        "a token of Hugging Face",
        rb"hf_[A-Za-z0-9]{30}|api_org_[A-Za-z0-9]{30}",
        (rb"hf_[A-Za-z0-9]{30}", rb"api_org_[A-Za-z0-9]{30}"),
    ),
    Form("a token of Slack", rb"xox[abeoprs]-[0-9A-Za-z-]{10}"),
    Form(
        "an API key",
        rb"sk-[A-Za-z0-9_-]{20}|AIza[\w-]{35}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16}|SG\.[\w-]{16,}\.[\w-]{16}",
        (rb"sk-[A-Za-z0-9_-]{20}", rb"AIza[\w-]{35}", rb"k_(?:live|test)_[A-Za-z0-9]{16}", rb"SG\.[\w-]{16}"),
    ),
    Form(
        "an API key",
        rb"nvapi-[\w-]{20}|xai-[A-Za-z0-9]{40}|gsk_[A-Za-z0-9]{40}|r8_[A-Za-z0-9]{32}|dapi[0-9a-f]{32}|hvs\.[\w-]{24}",
        (
            rb"nvapi-",
            rb"xai-[A-Za-z0-9]{40}",
            rb"gsk_[A-Za-z0-9]{40}",
            rb"r8_[A-Za-z0-9]{32}",
            rb"dapi[0-9a-f]{32}",
            rb"hvs\.",
        ),
    ),
    Form(
        "a token of a registry",
        rb"npm_[A-Za-z0-9]{30}|pypi-[\w-]{16}|dckr_(?:pat|oat)_[\w-]{20}|do[opr]_v1_[0-9a-f]{32}",
        (rb"npm_[A-Za-z0-9]{30}", rb"pypi-[\w-]{16}", rb"dckr_", rb"do[opr]_v1_"),
    ),
    Form("a token of Google", rb"ya29\.[\w-]{20}|GOCSPX-[\w-]{20}", (rb"ya29\.[\w-]{20}", rb"GOCSPX-")),
    Form("a JSON Web Token", rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    Form(
        "a password in a URL",
        rb"[a-z]{2,10}://[^\s/:@\0]{1,64}:[^\s/@\0]{1,128}@",
        (rb"://(?<=[a-z]{2}://)[^\s/:@\0]{1,64}:[^\s/@\0]{1,128}@",),
    ),
    Form(
        "a credential",
        rb"(?i:\bbearer)[ +]+(?=[\w.~+/-]*\d)[\w.~+/-]{12}|(?i:authorization)[\"']?\s*[:=]\s*[\"']?[A-Za-z]\w*\s+\S{6}",
        (rb"r(?<=(?i:bearer))", rb"R(?<=(?i:bearer))", rb"n(?<=(?i:authorization))", rb"N(?<=(?i:authorization))"),
        (b"bearer", b"authorization"),
    ),
)
"""What is private wherever it stands; shown in a message by its place alone."""

_NAMED = rb"(?:[\w-]*[_-])?(?:token|secret|pass|passwd|password|passphrase|pwd|api[_-]?key|access[_-]?key|secret[_-]?key|auth|credentials?)"
_WORDS = (
    *(b"token", b"secret", b"pass", b"pwd", b"auth", b"credential"),
    *(b"apikey", b"api_key", b"api-key", b"accesskey", b"access_key", b"access-key"),
)
"""One of them is in whatever `_NAMED` finds."""
_ENDS = (
    *(b"token", b"secret", b"pass", b"passwd", b"password", b"passphrase", b"pwd", b"key", b"auth"),
    *(b"credential", b"credentials"),
)
"""With one of them ends whatever `_NAMED` finds."""
_TELLING = rb"(?=[^\s\"'&;,]*\d)(?=[^\s\"'&;,]*[A-Za-z])[^\s\"'&;,]{8}"
"""At least eight characters, a letter and a digit among them: `token=128` and `pass=forward` tell nothing."""

TEXT_KEYS = (
    Form(
        "an e-mail address",
        rb"(?<![\w@])\w@[A-Za-z0-9-]{2,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}(?![\w-])",
        (rb"@(?<=\w@)[A-Za-z0-9-]{2,63}\.",),
    ),
    Form(
        "a credential",
        rb"(?i:(?<![A-Za-z])" + _NAMED + rb")[\"']?\s*[=:]\s*[\"']?" + _TELLING,
        words=_WORDS,
        near=tuple(end + rb"[\"']?\s*[=:]\s*[\"']?[^\s\"'&;,]{8}" for end in _ENDS),
    ),
    Form(
        "a credential",
        rb"-(?<![\w-]-)-?(?i:" + _NAMED + rb")[ =][\"']?[^\s\"'-][^\s\"']{5}",
        words=_WORDS,
        near=tuple(end + rb"[ =][\"']?[^\s\"'-][^\s\"']{5}" for end in _ENDS),
    ),
    Form(
        "a signature of a URL",
        rb"[?&](?:sig|signature|X-Amz-Signature|X-Goog-Signature)=[\w%+/-]{8}|\bsig=[\w%+/-]{8,}=?&",
        (rb"=(?<=sig=)[\w%+/-]{8}", rb"=(?<=[sS]ignature=)[\w%+/-]{8}"),
    ),
    Form("an API key", rb"\bSK[0-9a-f]{32}\b", (rb"SK[0-9a-f]{32}",)),
    Form("a key's id", rb"private_key_id"),
)
"""As `KEYS`, of texts that stand by themselves."""
