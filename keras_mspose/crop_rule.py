"""The numbers that every way from a photograph to a crop shares: TensorFlow's, NumPy's and the web page's."""

RATIOS = (1, 2, 4, 8)  # to which a JPEG decoder can reduce
FINEST = 0.5**0.5 * 0.999  # decoded pixels a crop pixel, at least; sqrt(2) at most, as ratios double
MARGIN = 2  # pixels about those a crop lies on: one for smoothing, one that a decoder guesses without its neighbours
POSITION_BITS = 16  # of a position's fraction
WEIGHT_BITS = 10  # of a bilinear weight
BETWEEN_BITS = 3  # that are kept below a grey level between rows and columns; with a weight and a grey level 21 bits
BLUR_BITS = 6  # of a smoothing weight: with a grey level and two bits of its fraction they fit in 16
FAR = 2.0**13  # pixels beyond every image, as those are of a size with the crop; further away int32 would overflow
