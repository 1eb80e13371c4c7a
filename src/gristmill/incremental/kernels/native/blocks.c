/* Blocks of a map whose new numbers differ too much from those that are kept. */

#include <math.h>
#include <string.h>

/* Whether any number differs by more than a threshold, or is none. */
static int differ(const float *found, const float *kept, long count, float threshold)
{
    int beyond = 0;
    for (long i = 0; i < count; i++) /* to the end: a loop that may stop is no vectors' */
        beyond |= !(fabsf(found[i] - kept[i]) <= threshold);
    return beyond;
}

/* Mark the square blocks of a rectangle that have such a number.

   found, kept: [height][width][channels], their rows `found_row` and `kept_row` floats apart.
   marked: [rows of blocks][columns of blocks]; the last ones may be cut off. */
void mark_blocks(const float *found, long found_row, const float *kept, long kept_row, long height,
                 long width, long channels, long block, float threshold, unsigned char *marked)
{
    long columns = (width + block - 1) / block, side = block * channels;
    memset(marked, 0, (height + block - 1) / block * columns);
    for (long row = 0; row < height; row++, found += found_row, kept += kept_row) {
        unsigned char *here = marked + row / block * columns;
        for (long column = 0; column < columns; column++) {
            long first = column * side, left = width * channels - first;
            long count = left < side ? left : side;
            if (!here[column])
                here[column] = differ(found + first, kept + first, count, threshold);
        }
    }
}
