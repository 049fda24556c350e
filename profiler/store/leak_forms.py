"""What private things look like: patterns of bytes, for the search of `leaks`."""

from __future__ import annotations

_MOUNTS = (
    rb"users|data\d*|datasets?|projects?|proj|export|homes|gscratch|pscratch|storage|raid\d*|nvme\d*|ssd\d*|hdd\d*|dev/shm"
    rb"|Volumes|private|afs|efs|pfs|beegfs|weka\w*|ceph\w*|cluster|global|lus|net|nas\d*|shared?|opt|run/user|nobackup|vol\d*"
)
"""First folders of a path that may also be words of a range's name."""

RULES = (
    (
        "an absolute path",
        rb"/(?:home\d*|root|work|tmp|Users|workspace|scratch|mnt|media|srv|nfs|lustre|gpfs|fsx|var/folders)/[\w.@/-]+",
    ),
    # what may also be a word of a range's name, only where no word stands before it
    ("an absolute path", rb"(?<![\w.)\]>-])/(?:" + _MOUNTS + rb")/[\w.@/-]+"),
    ("an absolute path, percent-encoded", rb"%2[Ff](?:home\d*|root|work|tmp|Users|mnt|scratch|data\d*)%2[Ff][\w.%-]+"),
    (
        "an absolute path in UTF-16",
        rb"/\0(?:h\0o\0m\0e\0|r\0o\0o\0t\0|w\0o\0r\0k\0|t\0m\0p\0|U\0s\0e\0r\0s\0)/\0(?:[\w./-]\0)+",
    ),
    ("a folder of Windows", rb"\b[A-Za-z]:\\{1,4}\w[\w. -]*\\|\\\\[\w.-]+\\+\w+"),
    # "=" is also page 61 of a database, written between a table's name and its CREATE TABLE
    ("an environment variable", rb"[A-Z][A-Z0-9_]{5,}=(?!CREATE (?:TABLE|INDEX) )[\x21-\x7e]{3}"),
    ("a search path", rb"PATH="),
    ("LD_PRELOAD", rb"LD_PRELOAD"),
    ("an environment, NUL-separated", rb"[A-Za-z_]\w{2,}=[\t\n\x20-\x7e]{0,4000}\0[A-Za-z_]\w{2,}="),
    (
        "a table that leaks",
        rb"CREATE TABLE \W?(?:ProcessStreams|TARGET_INFO_SYSTEM_ENV|PROCESSES|ANALYSIS_FILE)\b",
    ),
)

TEXT_RULES = (
    ("a home folder", rb"(?<![\w~)\]>])~[a-z_][\w-]{1,31}/[\w.@/-]+"),
    ("a folder of Windows", rb"(?<![\w/])[A-Za-z]:/(?!/)\w[\w. -]*/"),
    (
        "a place in a storage",
        rb"(?i:(?<![a-z0-9])(?:s3a?|gs|gcs|abfss?|wasbs?|hdfs|nfs|smb|ssh|sftp|ftp|rsync|file)://)/?[\w.-]+",
    ),
    ("an address of a network", rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}:\d{2,5}(?![\w.])"),
)
"""As `RULES`, of texts that stand by themselves: in raw bytes any letter may stand before them, and these would find chance."""

KEYS = (
    (
        "an e-mail address",
        rb"@(?<=[\w.%+-]{2}@)[A-Za-z0-9-]{2,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.(?:[a-z]{2,24}|[A-Z]{2,24})(?![\w-])",
    ),
    ("a private key", rb"-----BEGIN [A-Z ]*PRIVATE KEY"),
    ("a key of SSH", rb"ssh-(?:rsa|dss|ed25519) AAAA[\w+/]{16}"),
    ("a key of AWS", rb"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    ("a token of GitHub", rb"gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}"),
    ("a token of GitLab", rb"gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat)-[\w-]{20}"),
    ("a token of Hugging Face", rb"hf_[A-Za-z0-9]{30}|api_org_[A-Za-z0-9]{30}"),
    ("a token of Slack", rb"xox[abeoprs]-[0-9A-Za-z-]{10}"),
    (
        "an API key",
        rb"sk-[A-Za-z0-9_-]{20}|AIza[\w-]{35}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16}|SG\.[\w-]{16,}\.[\w-]{16}",
    ),
    (
        "an API key",
        rb"nvapi-[\w-]{20}|xai-[A-Za-z0-9]{40}|gsk_[A-Za-z0-9]{40}|r8_[A-Za-z0-9]{32}|dapi[0-9a-f]{32}|hvs\.[\w-]{24}",
    ),
    (
        "a token of a registry",
        rb"npm_[A-Za-z0-9]{30}|pypi-[\w-]{16}|dckr_(?:pat|oat)_[\w-]{20}|do[opr]_v1_[0-9a-f]{32}",
    ),
    ("a token of Google", rb"ya29\.[\w-]{20}|GOCSPX-[\w-]{20}"),
    ("a JSON Web Token", rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    ("a password in a URL", rb"[a-z]{2,10}://[^\s/:@\0]{1,64}:[^\s/@\0]{1,128}@"),
    (
        "a credential",
        rb"(?i:\bbearer)[ +]+(?=[\w.~+/-]*\d)[\w.~+/-]{12}|(?i:authorization)[\"']?\s*[:=]\s*[\"']?[A-Za-z]\w*\s+\S{6}",
    ),
)
"""What is private wherever it stands; shown in a message by its place alone."""

_NAMED = rb"(?:[\w-]*[_-])?(?:token|secret|pass|passwd|password|passphrase|pwd|api[_-]?key|access[_-]?key|secret[_-]?key|auth|credentials?)"
_TELLING = rb"(?=[^\s\"'&;,]*\d)(?=[^\s\"'&;,]*[A-Za-z])[^\s\"'&;,]{8}"
"""At least eight characters, a letter and a digit among them: `token=128` and `pass=forward` tell nothing."""

TEXT_KEYS = (
    ("an e-mail address", rb"(?<![\w@])\w@[A-Za-z0-9-]{2,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}(?![\w-])"),
    ("a credential", rb"(?i:(?<![A-Za-z])" + _NAMED + rb")[\"']?\s*[=:]\s*[\"']?" + _TELLING),
    ("a credential", rb"(?<![\w-])--?(?i:" + _NAMED + rb")[ =][\"']?[^\s\"'-][^\s\"']{5}"),
    (
        "a signature of a URL",
        rb"[?&](?:sig|signature|X-Amz-Signature|X-Goog-Signature)=[\w%+/-]{8}|\bsig=[\w%+/-]{8,}=?&",
    ),
    ("an API key", rb"\bSK[0-9a-f]{32}\b"),
    ("a key's id", rb"private_key_id"),
)
"""As `KEYS`, of texts that stand by themselves."""
