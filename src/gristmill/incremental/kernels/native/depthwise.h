/* Depthwise convolutions: of a few pixels at once, and by windows that slide along a row. */

#ifndef GRISTMILL_DEPTHWISE_H
#define GRISTMILL_DEPTHWISE_H

#include "panel.h"

/* What windows of a depthwise convolution read at one of their pixels: where each one's run begins,
   and how far on it lies. */
struct tap {
    const float *const *reads;
    long from;
};

INLINE struct tap tap_of(const struct convolution *convolution, const struct batch *batch, long row,
                         long column)
{
    if (convolution->apart)
        return (struct tap){batch->reads[row * convolution->columns + column], 0};
    const long step = convolution->column_dilation * convolution->inputs;
    return (struct tap){batch->reads[row], column * step};
}

INLINE void separate(const struct convolution *convolution, const struct panel *panel,
                     const struct batch *batch, int adds, long first, const int pixels,
                     const int vectors)
{
    sums_of sums;
    const float *weights = panel->weights;
    begin(convolution, panel, batch, first, pixels, vectors, sums);
    for (long row = 0; row < convolution->rows; row++)
        for (long column = 0; column < convolution->columns; column++) {
            const struct tap tap = tap_of(convolution, batch, row, column);
            const long at = panel->from + tap.from;
            vector weight[MOST_VECTORS];
            EACH(v, vectors)
                weight[v] = load(weights + v * LANES);
            EACH(p, pixels)
                EACH(v, vectors)
                    sums[p][v] = plus_product(sums[p][v],
                                              load(tap.reads[first + p] + at + v * LANES), weight[v]);
            weights += vectors * LANES;
        }
    finish(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

INLINE void find_taps(const struct convolution *convolution, const struct batch *batch,
                      struct tap taps[3][3])
{
    EACH(row, 3)
        EACH(column, 3)
            taps[row][column] = tap_of(convolution, batch, row, column);
}

/* A vector of channels of what a pixel's window reads there. */
INLINE vector read_at(const struct tap *tap, long pixel, long channel)
{
    return load(tap->reads[pixel] + tap->from + channel);
}

/* Whether a pixel's window is that of the pixel before, one column on. */
static inline int follows(const struct tap taps[3][3], long pixel)
{
    int same = 1;
    for (int row = 0; row < 3; row++)
        for (int column = 1; column < 3; column++) {
            const struct tap *here = &taps[row][column - 1], *before = &taps[row][column];
            same &= here->reads[pixel] + here->from == before->reads[pixel - 1] + before->from;
        }
    return same;
}

/* The same by windows of 3x3 that slide: of one that follows another, a column is read. */
static inline void slide(const struct convolution *convolution, const struct panel *panel,
                         const struct batch *batch, int adds, const unsigned char *following,
                         long vectors)
{
    const struct limits limits = limits_of(convolution);
    struct tap taps[3][3];
    find_taps(convolution, batch, taps);
    for (long v = 0; v < vectors; v++) {
        const long at = panel->from + v * LANES, last = v < vectors - 1 ? LANES : panel->last;
        const vector bias = load(convolution->bias + at);
        vector weight[3][3], read[3][3] = {0};
        EACH(row, 3)
            EACH(column, 3)
                weight[row][column] =
                    load(panel->weights + ((3 * row + column) * vectors + v) * LANES);
        for (long p = 0; p < batch->pixels; p++) {
            if (following[p]) {
                EACH(row, 3) {
                    read[row][0] = read[row][1];
                    read[row][1] = read[row][2];
                }
            } else {
                EACH(row, 3)
                    EACH(column, 2)
                        read[row][column] = read_at(&taps[row][column], p, at);
            }
            vector sum = bias;
            EACH(row, 3) {
                read[row][2] = read_at(&taps[row][2], p, at);
                EACH(column, 3)
                    sum = plus_product(sum, read[row][column], weight[row][column]);
            }
            if (adds)
                put_sum(&limits, sum, batch->added[p] + at, batch->results[p] + at, last);
            else
                put_result(&limits, sum, batch->results[p] + at, last);
        }
    }
}

/* Mark the pixels whose windows follow those before. Return whether sliding pays. */
static inline int mark_following(const struct convolution *convolution, const struct batch *batch,
                                 unsigned char *following)
{
    struct tap taps[3][3];
    long count = 0;
    if (!convolution->depthwise || convolution->rows != 3 || convolution->columns != 3)
        return 0;
    find_taps(convolution, batch, taps);
    following[0] = 0;
    for (long p = 1; p < batch->pixels; p++)
        count += following[p] = (unsigned char)follows(taps, p);
    return 2 * count > batch->pixels;
}

#endif
