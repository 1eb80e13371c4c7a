/* A 1x1 convolution, a depthwise one and another 1x1 convolution, for maps some places of which have
   other values.

   A slice of channels at a time goes through all three, for some hundreds of pixels: what is between
   them is small enough for the fast caches, and weights are read once for so many pixels. The last
   one takes a slice's products in, in the order of channels, so that sums have the bits that they have
   when it is computed in one go. */

#include "differences.h"
#include "scattered.h"
#include "vectors.h"

enum { LINE = 16, LARGE = 1 << 18 }; /* floats of a line of the cache, and of maps beyond it */

static long batches_of(long pixels)
{
    return (pixels + MOST_PIXELS - 1) / MOST_PIXELS;
}

/* Floats from one row of a slice to the next, of a map of so many channels. */
static long row_of_slice(long channels)
{
    return channels < SLICE ? channels : SLICE;
}

/* Floats of memory that a group needs: of pixels that are read, and of those that are given, of a
   map of so many channels. Slices of a row overlap those of the next rows that were there before. */
long block_room(long reads, long gives, long channels)
{
    const long batches = batches_of(reads) + 2 * batches_of(gives);
    return batches * (long)(sizeof(struct batch) / sizeof(float)) +
           (reads + gives) * row_of_slice(channels) + 2 * channels;
}

/* Ask for rows of a base that is larger than the cache is likely to hold, well before they are read.
   Inlined: a call of a function that changes nothing is left out by compilers.

   numbers: of `many` pixels. */
INLINE void prefetch(const struct scattered *map, const int *numbers, long many)
{
    if (map->count * map->channels < LARGE)
        return;
    for (long n = 0; n < many; n++)
        for (long at = 0; numbers[n] < map->count && at < map->channels; at += LINE)
            __builtin_prefetch(map->base + numbers[n] * map->channels + at);
}

/* Batches of a group's pixels, as each of the three convolutions has them. */
struct group {
    struct batch *first, *second, *third;
    long reads, gives; /* how many batches the first one has, and each of the others */
};

/* Divide pixels into batches. Return how many there are. */
static long divide(long pixels, struct batch *batches)
{
    const long count = batches_of(pixels);
    for (long n = 0; n < count; n++)
        batches[n].pixels = n < count - 1 ? MOST_PIXELS : pixels - n * MOST_PIXELS;
    return count;
}

static struct group grouped(long reads, long gives, struct batch *batches)
{
    struct group group = {.first = batches};
    group.reads = divide(reads, group.first);
    group.second = group.first + group.reads;
    group.gives = divide(gives, group.second);
    group.third = group.second + group.gives;
    divide(gives, group.third);
    return group;
}

/* Compute the three, group by group of pixels.

   from: rows that the first one reads.  base, count, zeros, numbers: as `convolve_scattered` has
   them, of its results.
   order: of each group's results, counted from its first one: in which the last convolution takes
   them. What is zero in some that follow each other is left out.
   groups: of each, first pixel that the first convolution computes and the one after the last,
   which hold all patches that the group reads; and likewise of the results.
   shortcut: what is added to results, NULL if nothing is.
   room: as much as `block_room` says, for the largest group. */
void convolve_block(const struct convolution *first, const struct convolution *second,
                    const struct convolution *third, const struct shortcut *shortcut,
                    const float *from, const float *base, long count, const float *zeros,
                    const int *numbers, const int *order, const long *groups, long number,
                    float *room, float *results)
{
    const long wide = first->outputs, window = second->rows * second->columns;
    const long row = row_of_slice(wide);
    const struct convolution taps = scattered_taps(second);
    for (const long *span = groups; span < groups + 4 * number; span += 4) {
        const long reads = span[1] - span[0], gives = span[3] - span[2];
        float *expanded = room, *filtered = expanded + reads * row + wide;
        struct batch *batches = (struct batch *)(filtered + gives * row + wide);
        const struct group group = grouped(reads, gives, batches);
        const struct scattered map = {base, expanded - span[0] * row, zeros, count, wide, row};
        const int *taken = numbers + span[2] * window;
        prefetch(&map, taken, gives * window);
        for (long n = 0; n < group.gives; n++)
            taken = scatter(&map, taken, window, group.second + n);
        for (long n = 0; n < reads; n++) {
            struct batch *batch = group.first + n / MOST_PIXELS;
            const long p = n % MOST_PIXELS;
            batch->reads[0][p] = from + (span[0] + n) * first->inputs;
            batch->results[p] = expanded + n * row;
        }
        for (long n = 0; n < gives; n++) {
            struct batch *batch = group.third + n / MOST_PIXELS;
            const long p = n % MOST_PIXELS, pixel = order[span[2] + n], result = span[2] + pixel;
            group.second[n / MOST_PIXELS].results[p] = filtered + n * row;
            batch->reads[0][p] = filtered + pixel * row;
            batch->results[p] = results + result * third->outputs;
            batch->added[p] = added_pixel(shortcut, result, third->outputs);
        }
        for (struct slice slice = next_slice(first, (struct slice){0, 0}); slice.begin < wide;
             slice = next_slice(first, slice)) {
            for (long n = 0; n < group.reads; n++)
                convolve_slice(first, group.first + n, 0, slice);
            for (long n = 0; n < group.gives; n++)
                convolve_slice(&taps, group.second + n, 0, slice);
            for (long n = 0; n < group.gives; n++)
                take_in(third, group.third + n, shortcut != 0, slice);
        }
    }
}
