"""Image formats: those of Pillow's formats that are read, and the file names of images."""

from functools import lru_cache

FORMATS = [
    *("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "DIB", "PPM", "TIFF", "JPEG2000"),
    *("QOI", "TGA", "ICO", "DDS", "PCX", "SGI", "SUN", "PSD"),
]
"""Pillow's names of the formats that are read. Their files hold pixels and no programs.

PostScript (EPS) is left out, because it would start an interpreter on a stranger's program. You
can add another format that Pillow has a plug-in for: ``sngan.data.FORMATS.append("FITS")``.

Examples
--------
>>> from sngan.data import FORMATS
>>> "PNG" in FORMATS, "EPS" in FORMATS
(True, False)
"""

SUFFIXES = frozenset(
    [
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "avif", "avifs", "heic"),
        *("heif", "gif", "bmp", "dib", "ppm", "pgm", "pbm", "pnm", "tif", "tiff", "jp2", "j2k"),
        *("jpf", "jpx", "qoi", "tga", "ico", "dds", "pcx", "sgi", "rgb", "ras", "psd"),
    ]
)
"""Suffixes of image files, in small letters and without the dot."""

_SIDECARS = frozenset(
    [
        *("json", "jsonl", "csv", "tsv", "xml", "yaml", "yml", "toml", "ini", "cfg", "md", "rst"),
        *("html", "htm", "css", "js", "py", "ipynb", "sh", "log", "pdf", "npy", "npz", "mat"),
        *("pkl", "pickle", "pt", "pth", "safetensors", "h5", "hdf5", "parquet", "arrow", "feather"),
        *("db", "sqlite", "lock"),
    ]
)


_OTHER_KINDS = {
    "a text": ("txt", "doc", "docx", "rtf", "odt"),
    "a film": ("mp4", "mov", "avi", "mkv", "webm", "m4v", "mpg", "mpeg", "wmv"),
    "a sound": ("mp3", "wav", "flac", "ogg", "m4a"),
    "an archive": ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar"),
    "a program": ("eps", "ps", "ai", "svg", "exe", "dll", "so"),
    # Pillow would read only the thumbnail in some of them
    "a camera's raw data": (
        *("cr2", "cr3", "nef", "arw", "dng", "orf", "rw2", "raf", "pef", "srw", "raw"),
    ),
}


def suffix(name: str) -> str:
    """Return the suffix of a file's name, in small letters and without the dot."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def is_sidecar(name: str) -> bool:
    """Whether a file only accompanies images: descriptions, code, arrays."""
    return suffix(name) in _SIDECARS


def is_image(name: str) -> bool:
    """Whether a file has the name of an image."""
    return suffix(name) in SUFFIXES


def why_no_image(name: str) -> str | None:
    """Return why a file with this suffix is no image; ``None`` if it may be one."""
    found = suffix(name)
    kinds = (kind for kind, suffixes in _OTHER_KINDS.items() if found in suffixes)
    kind = next(kinds, None)
    return None if kind is None else f"{kind}, and no image"


@lru_cache(maxsize=8)
def _registered(names: tuple[str, ...]) -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in names if name in Image.OPEN)


def readable_formats() -> tuple[str, ...]:
    """Return the formats of ``FORMATS`` that this installation of Pillow can read."""
    return _registered(tuple(FORMATS))
