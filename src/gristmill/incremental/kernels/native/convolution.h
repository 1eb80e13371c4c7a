/* Convolutions of pixels wherever they lie. */

#ifndef GRISTMILL_CONVOLUTION_H
#define GRISTMILL_CONVOLUTION_H

enum { MOST_PIXELS = 96, MOST_RUNS = 64 };

/* A convolution of all channels, or (`depthwise`) of each channel by itself. */
struct convolution {
    long inputs, outputs;                  /* channels */
    long rows, columns;                    /* of a window */
    long row_stride, column_stride;
    long row_dilation, column_dilation;
    long above, before;                    /* zeros above the map and left of it */
    long depthwise;
    long rounded;                          /* reads pairs of bfloat16; see `convolve` */
    long finite;                           /* whether all weights are finite */
    long bend;                             /* see activation.h */
    float slope;
    float low, high;                       /* bounds of the result; infinite for none */
    float sum_low, sum_high;               /* bounds once something is added to the result */
    const float *weights, *bias;           /* as `pack_weights` and `pack_bias` lay them out */
};

/* Pixels that are computed together. A window is read as some runs of consecutive floats. */
struct batch {
    long pixels;
    const float *reads[MOST_RUNS][MOST_PIXELS]; /* of each run and pixel, where it begins */
    float *results[MOST_PIXELS];                /* `outputs` floats each */
    const float *added[MOST_PIXELS];            /* likewise, where something is added */
    const float *begins[MOST_PIXELS];           /* likewise, what rounded sums begin with */
};

/* Pairs of channels that a rounded convolution reads of a pixel, 4 bytes each. */
long pairs(const struct convolution *convolution);

/* Runs of a window, and floats of a run. Those of all channels are as long as can be: a row. */
long runs(const struct convolution *convolution);

/* Compute a batch. Something is added where `adds`. What `depthwise` reads of a window may stretch
   LANES - 1 floats beyond it. A `rounded` convolution is 1x1: it reads `pairs` of channels and
   its sums begin with `begins`, not with the bias. */
void convolve(const struct convolution *convolution, const struct batch *batch, int adds);

#endif
