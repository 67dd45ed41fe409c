"""Formats of images: which of Pillow's are read, and which names of files may be images."""

from functools import lru_cache

FORMATS = [
    *("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "DIB", "PPM", "TIFF", "JPEG2000"),
    *("QOI", "TGA", "ICO", "DDS", "PCX", "SGI", "SUN", "PSD"),
]
"""Pillow's names of the formats that are read: pixels, and no programs. PostScript (EPS) would
start an interpreter on a stranger's program. A format that Pillow has a plug-in for may be added:
``sngan.data.FORMATS.append("FITS")``."""

SUFFIXES = frozenset(
    [
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "webp", "avif", "avifs", "heic"),
        *("heif", "gif", "bmp", "dib", "ppm", "pgm", "pbm", "pnm", "tif", "tiff", "jp2", "j2k"),
        *("jpf", "jpx", "qoi", "tga", "ico", "dds", "pcx", "sgi", "rgb", "ras", "psd"),
    ]
)
"""Suffixes of names of images, in small letters and without the dot."""

_BESIDE = frozenset(
    [
        *("json", "jsonl", "csv", "tsv", "xml", "yaml", "yml", "toml", "ini", "cfg", "md", "rst"),
        *("html", "htm", "css", "js", "py", "ipynb", "sh", "log", "pdf", "npy", "npz", "mat"),
        *("pkl", "pickle", "pt", "pth", "safetensors", "h5", "hdf5", "parquet", "arrow", "feather"),
        *("db", "sqlite", "lock"),
    ]
)


def suffix(name: str) -> str:
    """The suffix of a file's name, in small letters and without the dot."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def is_beside(name: str) -> bool:
    """Whether a file lies beside images without being meant as one: descriptions, code, arrays."""
    return suffix(name) in _BESIDE


@lru_cache(maxsize=8)
def _registered(names: tuple[str, ...]) -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in names if name in Image.OPEN)


def readable() -> tuple[str, ...]:
    """The formats of ``FORMATS`` that this installation of Pillow can read."""
    return _registered(tuple(FORMATS))
