"""Cases of pixels: ranges, transparency, orientation, formats, sizes."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.zoo.case import Read, Refused, array_image, case, coded, image, png, put_all

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
HALF = 127.5


def _deep(root: Path, values: np.ndarray, kind: str) -> str:
    suffix = {"PNG": "png", "TIFF": "tif"}[kind]
    return put_all(root, {f"{i}.{suffix}": array_image(values, kind) for i in range(2)})


@case(Read(2, means=[HALF] * 2))
def sixteen_bits(root):
    return _deep(root, (RAMP * 65535).astype(np.uint16), "PNG")


@case(Read(2, means=[HALF] * 2, warning=r"0 \(black\) to 4095 \(white\)"))
def twelve_bits_in_16(root):
    return _deep(root, (RAMP * 4095).astype(np.uint16), "PNG")


@case(Read(2, means=[HALF] * 2, warning=r"to 1023 \(white\)"))
def ten_bits_in_16(root):
    return _deep(root, (RAMP * 1023).astype(np.uint16), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"to 16383 \(white\)"))
def fourteen_bits_in_16(root):
    return _deep(root, (RAMP * 16383).astype(np.uint16), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"to 255 \(white\)"))
def eight_bits_in_32(root):
    return _deep(root, (RAMP * 255).astype(np.int32), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"up to 1e\+06 are read as 0 \(black\) to 1e\+06"))
def large_values_in_32(root):
    return _deep(root, (RAMP * 1e6).astype(np.int32), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"are read as -500 \(black\) to 500"))
def signed_values_in_32(root):
    return _deep(root, (RAMP * 1000 - 500).astype(np.int32), "TIFF")


@case(Read(2, means=[HALF] * 2))
def floats_to_1(root):
    return _deep(root, RAMP.astype(np.float32), "TIFF")


@case(Read(2, means=[HALF] * 2))
def floats_to_1_with_an_overshoot(root):
    return _deep(root, (RAMP * 1.004 - 0.002).astype(np.float32), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"-1 \(black\) to 1"))
def floats_from_minus_1(root):
    return _deep(root, (RAMP * 2 - 1).astype(np.float32), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"0 \(black\) to 255"))
def floats_to_255(root):
    return _deep(root, (RAMP * 255).astype(np.float32), "TIFF")


@case(Read(2, means=[HALF] * 2, warning=r"-40 \(black\) to 60"))
def floats_of_temperatures(root):
    return _deep(root, (RAMP * 100 - 40).astype(np.float32), "TIFF")


@case(Read(1, means=[HALF], skipped=1, warning="nan or inf"))
def floats_of_which_one_image_has_nan(root):
    bad = RAMP.copy()
    bad[0, 0] = np.nan
    good = array_image(RAMP.astype(np.float32), "TIFF")
    return put_all(root, {"a.tif": good, "b.tif": array_image(bad.astype(np.float32), "TIFF")})


@case(Read(70, skipped=1, warning=r"its values are 0 to 65535, outside 0 \(black\) to 4095"))
def one_brighter_image_that_the_sample_missed(root):
    dark = array_image((RAMP * 4095).astype(np.uint16))
    files = {f"{i:03}.png": dark for i in range(71)}
    return put_all(root, files | {"010.png": array_image((RAMP * 65535).astype(np.uint16))})


@case(Read(2, means=[255 / 2] * 2, tolerance=2, warning="read as masks"))
def masks_of_0_and_1(root):
    return _deep(root, (RAMP > 0.5).astype(np.uint8), "PNG")


@case(Read(2, warning="nearly black, its largest value is 9 of 255"))
def maps_of_few_numbers(root):
    return _deep(root, (RAMP * 9).astype(np.uint8), "PNG")


@case(Read(1, means=[HALF], tolerance=2))
def one_bit(root):
    return put_all(root, {"a.png": coded(Image.fromarray(RAMP > 0.5))})


def _drawing(mode: str = "RGBA") -> Image.Image:
    """A black square in front of a transparent background, which fills half of the image."""
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 8, 4))
    return picture.convert(mode)


@case(Read(1, means=[HALF], shape=(3, 8, 8)))
@case(Read(1, means=[0.0]), background="black")
@case(Read(1, means=[255 / 6]), background="#ff0000")
@case(Refused("data.background: expected a colour's name"), background="nothing")
def black_on_transparent(root):
    return put_all(root, {"a.png": coded(_drawing())})


@case(Read(1, means=[HALF], shape=(1, 8, 8)))
def grey_on_transparent(root):
    return put_all(root, {"a.png": coded(_drawing("LA"))})


@case(Read(1, means=[HALF]))
def transparent_palette(root):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 0, 0, 0])
    picture.paste(1, (0, 0, 8, 4))
    return put_all(root, {"a.png": coded(picture, transparency=0)})


@case(Read(1, means=[HALF]))
def transparent_gif(root):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 0, 0, 0])
    picture.paste(1, (0, 0, 8, 4))
    return put_all(root, {"a.gif": coded(picture, "GIF", transparency=0)})


@case(Read(1, means=[HALF]))
def transparent_colour_key(root):
    picture = Image.new("RGB", (8, 8), (9, 9, 9))
    picture.paste((0, 0, 0), (0, 0, 8, 4))
    return put_all(root, {"a.png": coded(picture, transparency=(9, 9, 9))})


@case(Read(1, means=[HALF]))
def transparent_webp(root):
    return put_all(root, {"a.webp": coded(_drawing(), "WEBP", lossless=True)})


@case(Read(1, means=[HALF], tolerance=2))
def half_transparent(root):
    return put_all(root, {"a.png": coded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)))})


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
)


@case(Read(1, shape=(3, 8, 8)))
def turned_by_xmp(root):
    """The white half is at the top, and at the right after a turn by 90°, which a test checks."""
    picture = Image.new("RGB", (8, 8))
    picture.paste((255, 255, 255), (0, 0, 8, 4))
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", (XMP % 6).decode())
    return put_all(root, {"a.png": coded(picture, pnginfo=info)})


FORMATS = {"jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM", "gif": "GIF"}
FORMATS |= {"jp2": "JPEG2000", "tga": "TGA", "ico": "ICO", "qoi": "QOI", "avif": "AVIF"}


@case(Read(len(FORMATS), means=[128.0] * len(FORMATS), tolerance=3), channels=3)
def every_raster_format(root):
    Image.init()
    known = {suffix: name for suffix, name in FORMATS.items() if name in Image.SAVE}
    known |= dict.fromkeys(set(FORMATS) - set(known), "PNG")
    picture = image(128, size=(16, 16))
    return put_all(root, {f"a.{suffix}": coded(picture, name) for suffix, name in known.items()})


@case(
    Read(2, means=[10, 30], warning="images have up to 4 frames or pages; only the first is read")
)
def films_and_pages(root):
    pictures = [image(level) for level in (10, 90, 200)]
    film = coded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    pages = coded(image(30), "TIFF", save_all=True, append_images=pictures)
    return put_all(root, {"a.gif": film, "b.tif": pages})


@case(Read(1, shape=(1, 64, 64), means=[40.0], warning="are resized to 64×64"))
def a_picture_of_36_million_pixels(root):
    return put_all(root, {"a.png": image(40, size=(6000, 6001), mode="L")})


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n{} loop\n%%EOF\n"


@case(
    Read(1, skipped=2, warning="a.eps .a program, and no image., b.png .no image that Pillow can")
)
def postscript(root):
    return put_all(root, {"a.eps": POSTSCRIPT, "b.png": POSTSCRIPT, "c.png": 128})


def _of_size(width: int, height: int, chunk: bytes = b"") -> bytes:
    """Make a PNG whose header declares this size."""
    good = png()
    header = b"IHDR" + struct.pack(">II", width, height) + good[24:29]
    return good[:12] + header + struct.pack(">I", zlib.crc32(header)) + chunk + good[33:]


@case(Read(1, skipped=2, warning="skipped 2 files"))
def images_of_billions_of_pixels(root):
    files = {"a.png": _of_size(40_000, 40_000), "b.png": _of_size(2**31 - 1, 1), "c.png": 128}
    return put_all(root, files)


@case(Read(1, skipped=1, warning="a JPEG of over 100 scans"))
def jpeg_of_endless_scans(root):
    good = coded(image(128, size=(64, 64)), "JPEG", progressive=True)
    scan = good[good.rindex(b"\xff\xda") : -2]
    return put_all(root, {"a.jpg": good[:-2] + scan * 2000 + good[-2:], "b.png": 128})


@case(
    Read(5, shape=(3, 32, 32), warning="images of 32×32 pixels .5×3 to 32×32. are resized to 32×32")
)
def an_icon_before_the_photos(root):
    files = {f"photo{i}.png": image(128, size=(32, 32)) for i in range(4)}
    return put_all(root, files | {"a.png": image(9, size=(5, 3))})


@case(Read(1, shape=(3, 8, 8), warning="images of 5×3 pixels are resized to 8×8"))
@case(Read(1, shape=(3, 4, 4), warning="loses 40% of an image's area"), resolution=4)
def tiny_images(root):
    return put_all(root, {"a.png": image(9, size=(5, 3))})


@case(Read(3, shape=(3, 8, 8), warning="images of 8×8 pixels .8×8 to 300×300. are resized to 8×8"))
def one_large_photo_among_icons(root):
    sizes = {"a.png": (300, 300), "b.png": (8, 8), "c.png": (8, 8)}
    return put_all(root, {name: image(9, size=size) for name, size in sizes.items()})


@case(Read(2, means=[0.5, 0.5], warning="nearly black, its largest value is 1 of 255"))
def masks_in_colour(root):
    mask = np.repeat((RAMP > 0.5)[..., None], 3, 2).astype(np.uint8)
    return put_all(root, {f"{i}.png": array_image(mask) for i in range(2)})


@case(Refused("got none among 2 files in .*; the first, 0.tif: some of its values are nan or inf"))
def floats_that_are_no_numbers(root):
    return _deep(root, np.where(RAMP > 0.9, np.nan, RAMP).astype(np.float32), "TIFF")
