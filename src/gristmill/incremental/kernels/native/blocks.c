/* Blocks of a map whose new numbers differ too much from those that are kept. */

#include <math.h>
#include <string.h>

#include "box.h"
#include "extremes.h"

enum { MOST = 16 }; /* blocks along a side of a rectangle */

/* New numbers of places of a map, and those that are kept of all of it: [height][width][channels],
   rows some floats apart. The new ones begin at the map's row `top` and column `left`. */
struct sieve {
    const float *found;
    long found_row, top, left;
    float *kept;
    long kept_row, channels;
    float threshold;
};

static const float *found_at(const struct sieve *sieve, long row, long column)
{
    const long y = row - sieve->top, x = column - sieve->left;
    return sieve->found + y * sieve->found_row + x * sieve->channels;
}

static float *kept_at(const struct sieve *sieve, long row, long column)
{
    return sieve->kept + row * sieve->kept_row + column * sieve->channels;
}

/* Whether any number differs by more than a threshold, or is none. */
static int differ(const float *found, const float *kept, long count, float threshold)
{
    int beyond = 0;
    for (long i = 0; i < count; i++) /* to the end: a loop that may stop is no vectors' */
        beyond |= !(fabsf(found[i] - kept[i]) <= threshold);
    return beyond;
}

/* Mark the square blocks of a rectangle that have such a number; the last ones may be cut off. */
static void mark(const struct sieve *sieve, const struct box *place, long block,
                 unsigned char marked[MOST][MOST])
{
    memset(marked, 0, MOST * MOST);
    for (long row = place->top; row < place->bottom; row++) {
        unsigned char *here = marked[(row - place->top) / block];
        for (long left = place->left, column = 0; left < place->right; left += block, column++) {
            const long count = smaller(block, place->right - left) * sieve->channels;
            if (!here[column])
                here[column] = differ(found_at(sieve, row, left), kept_at(sieve, row, left), count,
                                      sieve->threshold);
        }
    }
}

/* Cover the marked cells by disjoint boxes in the order of their top left corners: runs in a row,
   each joined with the equal run of the row above. Return how many there are. */
static long cover(unsigned char marked[MOST][MOST], struct box *boxes)
{
    long count = 0, above[MOST] = {0}; /* above: of each column, the box of the last run there */
    for (long row = 0; row < MOST; row++) {
        for (long begin = 0, end; begin < MOST; begin = end) {
            for (end = begin + 1; end < MOST && marked[row][end] == marked[row][begin]; end++)
                ;
            if (!marked[row][begin])
                continue;
            struct box *run = &boxes[above[begin]];
            if (count && run->bottom == row && run->left == begin && run->right == end) {
                run->bottom = row + 1;
            } else {
                above[begin] = count;
                boxes[count++] = (struct box){row, begin, row + 1, end};
            }
        }
    }
    return count;
}

/* Make boxes one if they fill three fifths of it. Return how many there are then. */
static long joined(struct box *boxes, long count)
{
    struct box all = {MOST, MOST, 0, 0};
    long cells = 0;
    for (long number = 0; number < count; number++) {
        all = box_around(&all, &boxes[number]);
        cells += box_area(&boxes[number]);
    }
    if (!count || 5 * cells < 3 * box_area(&all))
        return count;
    boxes[0] = all;
    return 1;
}

/* The pixels of a box of blocks. */
static struct box pixels(const struct box *place, const struct box *cells, long block)
{
    return (struct box){
        place->top + cells->top * block,
        place->left + cells->left * block,
        smaller(place->top + cells->bottom * block, place->bottom),
        smaller(place->left + cells->right * block, place->right),
    };
}

static void write(const struct sieve *sieve, const struct box *place)
{
    const size_t bytes = sizeof(float) * (place->right - place->left) * sieve->channels;
    for (long row = place->top; row < place->bottom; row++)
        memcpy(kept_at(sieve, row, place->left), found_at(sieve, row, place->left), bytes);
}

/* Write new numbers of rectangles where they differ enough from the kept ones. Return how many
   places were written.

   written: room for MOST * MOST / 2 places of each rectangle. */
long let_through(const struct sieve *sieve, const struct box *places, long count,
                 struct box *written)
{
    unsigned char marked[MOST][MOST];
    long total = 0;
    for (const struct box *place = places; place < places + count; place++) {
        const long side = larger(place->bottom - place->top, place->right - place->left);
        const long block = (side + MOST - 1) / MOST;
        mark(sieve, place, block, marked);
        struct box *found = written + total;
        const long here = joined(found, cover(marked, found));
        for (long number = 0; number < here; number++) {
            found[number] = pixels(place, &found[number], block);
            write(sieve, &found[number]);
        }
        total += here;
    }
    return total;
}
