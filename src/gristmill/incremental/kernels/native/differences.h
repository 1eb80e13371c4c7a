/* What differs from a map that is known, and what is added to results. */

#ifndef GRISTMILL_DIFFERENCES_H
#define GRISTMILL_DIFFERENCES_H

#include "convolution.h"

/* A map that is known, and which of its pixels others are beside. */
struct known {
    const float *values; /* what a convolution reads, [pixels][inputs] */
    const float *sums;   /* what it makes of them before its activation, [pixels][outputs] */
    const int *places;   /* of each of the other pixels, the number of the known one */
};

/* Pixels that are added to a convolution's results, found as `convolve_scattered` finds its own. */
struct shortcut {
    const float *base, *patches;
    long count;
    const int *numbers;
};

/* What is added to a pixel; NULL if there is no shortcut. */
const float *added_pixel(const struct shortcut *shortcut, long number, long channels);

/* Write differences as bytes, the largest as 127 from the byte of 0. Return what a step is; no number
   if a difference is none or infinite. */
float round_to_bytes(const float *values, const float *known, long count, unsigned char *to);

#endif
