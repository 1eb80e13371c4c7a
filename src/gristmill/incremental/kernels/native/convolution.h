/* Convolutions of pixels wherever they lie. */

#ifndef GRISTMILL_CONVOLUTION_H
#define GRISTMILL_CONVOLUTION_H

enum { MOST_PIXELS = 96, MOST_RUNS = 64, SLICE = 192 };

/* A convolution of all channels, or (`depthwise`) of each channel by itself. */
struct convolution {
    long inputs, outputs;                  /* channels */
    long rows, columns;                    /* of a window */
    long row_stride, column_stride;
    long row_dilation, column_dilation;
    long above, before;                    /* zeros above the map and left of it */
    long depthwise;
    long apart;                            /* whether each pixel of a window is a run of its own */
    long bits;                             /* of the numbers that are multiplied; see `convolve` */
    long finite;                           /* whether all weights are finite */
    long bend;                             /* see activation.h */
    float slope;
    float low, high;                       /* bounds of the result; infinite for none */
    float sum_low, sum_high;               /* bounds once something is added to the result */
    const float *weights, *bias;           /* as `pack_weights` and `pack_bias` lay them out */
    const float *scales;                   /* of 8 bits, as `pack_rounded_weights` finds them: */
    const int *offsets;                    /* what channels' sums are times, and begin with */
    const float *per_step;                 /* one over a channel's step, where results are bytes */
};

/* Pixels that are computed together. A window is read as some runs of consecutive floats. */
struct batch {
    long pixels;
    const float *reads[MOST_RUNS][MOST_PIXELS]; /* of each run and pixel, where it begins */
    float *results[MOST_PIXELS];                /* `outputs` floats each */
    const float *added[MOST_PIXELS];            /* likewise, where something is added */
    const float *begins[MOST_PIXELS];           /* likewise, what rounded products are added to */
    float scales[MOST_PIXELS];                  /* what sums of products of 8 bits are times */
    int slides;                                 /* whether windows slide; `find_rows` says it */
    unsigned char rows[MOST_PIXELS];            /* from a row's first pixel, how many follow */
};

/* Whether a convolution is of differences, which it reads rounded. */
static inline int is_rounded(const struct convolution *convolution)
{
    return convolution->bits < 32;
}

/* Floats that the rounded numbers of a pixel, which such a convolution reads, take in memory. */
long words(const struct convolution *convolution);

/* Runs of a window, and floats of a run. Those of all channels are as long as can be: a row. */
long runs(const struct convolution *convolution);

/* Find the pixels of a batch whose windows lie side by side: these slide, if they are 3x3 ones of a
   depthwise convolution. */
void find_rows(const struct convolution *convolution, struct batch *batch);

/* Compute a batch. Something is added where `adds`. What `depthwise` reads of a window may stretch
   LANES - 1 floats beyond it. A rounded convolution is 1x1; its products are added to `begins`, not
   to the bias. Of 16 bits, it reads bfloat16; of 8 bits, integers with 128 added to them. */
void convolve(const struct convolution *convolution, struct batch *batch, int adds);

/* Some channels. */
struct slice {
    long begin, end;
};

/* The next of the slices that results' channels come in, SLICE of them at most: the first one for
   {0, 0}, and an empty one behind the last. Convolutions of as many results have the same slices. */
struct slice next_slice(const struct convolution *convolution, struct slice slice);

/* Compute a slice of results of a batch whose rows are found. */
void convolve_slice(const struct convolution *convolution, const struct batch *batch, int adds,
                    struct slice outputs);

/* Take in what a 1x1 convolution of floats makes of some of its inputs, those before them having
   been taken in: `results` are sums until the last ones are. */
void take_in(const struct convolution *convolution, const struct batch *batch, int adds,
             struct slice inputs);

/* See convolution.c. */
void pack_rounded_weights(const struct convolution *convolution, const float *weights,
                          float *packed, float *scales, int *offsets);

#endif
