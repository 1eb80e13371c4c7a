/* A 1x1 convolution, a depthwise one and another 1x1 convolution, for maps some places of which have
   other values.

   A slice of channels at a time goes through all three, for some hundreds of pixels: what is between
   them is small enough for the fast caches, and weights are read once for so many pixels. The last
   one takes a slice's products in, in the order of channels, so that sums have the bits that they have
   when it is computed in one go. */

#include "differences.h"
#include "groups.h"
#include "scattered.h"
#include "vectors.h"

enum { LINE = 16 }; /* floats of a line of the cache */

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

/* Ask for a slice of the map's pixels that lie around a group, well before they are read: the cache
   is full of what is computed. Inlined: compilers leave out calls that change nothing. */
INLINE void prefetch(const struct scattered *map, const int *numbers, long many,
                     struct slice slice)
{
    for (long n = 0; n < many; n++)
        for (long at = slice.begin; at < slice.end; at += LINE)
            __builtin_prefetch(map->base + numbers[n] * map->channels + at);
}

/* Batches of a group's pixels, as each of the three convolutions has them. */
struct batches {
    struct batch *first, *second, *third;
    long reads, gives; /* how many batches the first one has, and each of the others */
};

/* Divide pixels into batches. Return how many there are. */
static long divide(long pixels, struct batch *batches)
{
    const long count = batches_of(pixels);
    for (long n = 0; n < count; n++) {
        batches[n].pixels = n < count - 1 ? MOST_PIXELS : pixels - n * MOST_PIXELS;
        batches[n].slides = 0;
    }
    return count;
}

static struct batches batches_at(struct batch *room, long reads, long gives)
{
    struct batches found = {.first = room};
    found.reads = divide(reads, found.first);
    found.second = found.first + found.reads;
    found.gives = divide(gives, found.second);
    found.third = found.second + found.gives;
    divide(gives, found.third);
    return found;
}

/* Compute the three, group by group of pixels.

   from: rows that the first one reads.  base, count, zeros, numbers: as `convolve_scattered` has
   them, of its results.
   groups: what a group reads holds all patches of its windows.  around: numbers of rows of the base.
   order: of each group's results, counted from its first one: in which the last convolution takes
   them. What is zero in some that follow each other is left out.
   shortcut: what is added to results, NULL if nothing is.
   room: as much as `block_room` says, for the largest group. */
void convolve_block(const struct convolution *first, const struct convolution *second,
                    const struct convolution *third, const struct shortcut *shortcut,
                    const float *from, const float *base, long count, const float *zeros,
                    const int *numbers, const int *around, const int *order,
                    const struct group *groups, long number, float *room, float *results)
{
    const long wide = first->outputs, window = second->rows * second->columns;
    const long row = row_of_slice(wide);
    const struct convolution taps = scattered_taps(second);
    for (const struct group *group = groups; group < groups + number; group++) {
        const long reads = group->read_end - group->read, gives = group->given_end - group->given;
        float *expanded = room, *filtered = expanded + reads * row + wide;
        const struct batches batches =
            batches_at((struct batch *)(filtered + gives * row + wide), reads, gives);
        const struct scattered map = {base, expanded - group->read * row, zeros, count, wide, row};
        const int *taken = numbers + group->given * window;
        for (long n = 0; n < batches.gives; n++)
            taken = scatter(&map, taken, window, batches.second + n);
        for (long n = 0; n < reads; n++) {
            struct batch *batch = batches.first + n / MOST_PIXELS;
            const long p = n % MOST_PIXELS;
            batch->reads[0][p] = from + (group->read + n) * first->inputs;
            batch->results[p] = expanded + n * row;
        }
        for (long n = 0; n < gives; n++) {
            struct batch *batch = batches.third + n / MOST_PIXELS;
            const long p = n % MOST_PIXELS;
            const long pixel = order[group->given + n], result = group->given + pixel;
            batches.second[n / MOST_PIXELS].results[p] = filtered + n * row;
            batch->reads[0][p] = filtered + pixel * row;
            batch->results[p] = results + result * third->outputs;
            batch->added[p] = added_pixel(shortcut, result, third->outputs);
        }
        for (long n = 0; n < batches.gives; n++)
            find_rows(&taps, batches.second + n);
        for (struct slice slice = next_slice(first, (struct slice){0, 0}); slice.begin < wide;
             slice = next_slice(first, slice)) {
            prefetch(&map, around + group->around, group->around_end - group->around, slice);
            for (long n = 0; n < batches.reads; n++)
                convolve_slice(first, batches.first + n, 0, slice);
            for (long n = 0; n < batches.gives; n++)
                convolve_slice(&taps, batches.second + n, 0, slice);
            for (long n = 0; n < batches.gives; n++)
                take_in(third, batches.third + n, shortcut != 0, slice);
        }
    }
}
