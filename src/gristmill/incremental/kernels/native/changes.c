/* Places of a frame that differ from its reference beyond noise.

   A mean is beyond the threshold only if a number of it is. So one pass over the bytes, 64 at a
   time, tells of most tiles that neither they nor those around them have such a number.

   In the others, squares are added up. A square's sum is that of its columns' sums, which take a few
   additions a byte, from row to row. Noise cancels out in them. For a row of tiles, the largest of
   each column's sums are kept: where those of neighbours do not add up to what a change takes, no
   square does. So squares are added up, row by row, in a few tiles only. */

#include <string.h>

#include "extremes.h"

typedef unsigned char byte;

enum { CHANNELS = 3 };

struct noise_rule {
    long height, width; /* of the frames, in pixels */
    long tile;          /* side, in pixels */
    long threshold;     /* the largest mean difference that is noise */
    long pixels;        /* of a tile that must differ by more */
    long blur;          /* side of the square that a mean is taken over: 1, 3, 5 or 9 */
};

/* What is compared. */
struct pair {
    const byte *frame; /* [height][width][3] */
    byte *reference;   /* likewise */
    long row;          /* bytes from one row of the frame to the next */
};

/* How far frame and reference are apart, as absolute differences. */
struct distance {
    long largest, sum;
};

/* Some tiles side by side of a row of tiles, and the pixels of the frame in them. */
struct run {
    long row, first, last; /* tiles; `last` is the one after them */
    long top, bottom, left, right;
};

/* Memory; a line is a row of pixels with the margins of squares. */
struct memory {
    short *sums;    /* of columns of the whole frame's width */
    short *most;    /* the largest of them so far, up or down */
    short *line;    /* sums of columns of a run */
    short *beyond;  /* -1 where the sum of a square is beyond the limit */
    short *counts;  /* pixels beyond it so far */
    byte *doubtful; /* of each tile of a row, whether its squares are to be added up */
    byte *farthest; /* of each byte of a row of pixels, the largest difference in a row of tiles;
                       with a tile behind it */
    byte *spare;    /* of the same size */
    byte *restless; /* of each tile of the frame, whether a number is beyond the threshold; with a
                       row of tiles above and below, and one tile left and right */
    struct distance *distances; /* of each row of tiles */
};

static long columns_of(const struct noise_rule *rule)
{
    return (rule->width + rule->tile - 1) / rule->tile;
}

static long rows_of(const struct noise_rule *rule)
{
    return (rule->height + rule->tile - 1) / rule->tile;
}

/* The largest sum of differences over a square, up or down, that is noise. */
static short limit_of(const struct noise_rule *rule)
{
    return rule->threshold * rule->blur * rule->blur;
}

/* 16-bit numbers of a line, and of what is read beyond it. */
static long line_of(const struct noise_rule *rule)
{
    return CHANNELS * (rule->width + rule->blur + 1);
}

/* Bytes of memory that `find_changes` needs. */
long changes_room(const struct noise_rule *rule)
{
    const long rows = rows_of(rule), columns = columns_of(rule);
    return rows * sizeof(struct distance) + 5 * sizeof(short) * line_of(rule) + columns +
           2 * CHANNELS * (rule->width + rule->tile) + (rows + 2) * (columns + 2);
}

static struct memory divided(const struct noise_rule *rule, byte *room)
{
    const long line = line_of(rule);
    struct memory found;
    found.distances = (struct distance *)room;
    found.sums = (short *)(found.distances + rows_of(rule));
    found.most = found.sums + line;
    found.line = found.most + line;
    found.beyond = found.line + line;
    found.counts = found.beyond + line;
    found.doubtful = (byte *)(found.counts + line);
    found.farthest = found.doubtful + columns_of(rule);
    found.spare = found.farthest + CHANNELS * (rule->width + rule->tile);
    found.restless = found.spare + CHANNELS * (rule->width + rule->tile);
    return found;
}

/* Where a row of pixels begins, the nearest one of the frame. */
static const byte *frame_row(const struct noise_rule *rule, const struct pair *pair, long row)
{
    return pair->frame + smaller(larger(row, 0), rule->height - 1) * pair->row;
}

static const byte *reference_row(const struct noise_rule *rule, const struct pair *pair, long row)
{
    const long number = smaller(larger(row, 0), rule->height - 1);
    return pair->reference + number * rule->width * CHANNELS;
}

/* Add the differences of one row of pixels to the sums of columns. */
static void add_row(const byte *restrict frame, const byte *restrict reference,
                    short *restrict sums, long count)
{
    for (long i = 0; i < count; i++)
        sums[i] += (short)frame[i] - (short)reference[i];
}

/* Likewise, and take those of another one from them. */
static void exchange_row(const byte *restrict frame, const byte *restrict reference,
                         const byte *restrict old_frame, const byte *restrict old_reference,
                         short *restrict sums, long count)
{
    for (long i = 0; i < count; i++)
        sums[i] += ((short)frame[i] - (short)reference[i]) -
                   ((short)old_frame[i] - (short)old_reference[i]);
}

/* Bring sums of columns to those around one row, from those around the row above. `begin` is the
   first row for which they are made. Columns are `count` bytes from `left` on. */
static void move_to(const struct noise_rule *rule, const struct pair *pair, long row, long begin,
                    long left, long count, short *sums)
{
    const long margin = rule->blur / 2, fresh = row + margin, old = row - margin - 1;
    if (row > begin) {
        exchange_row(frame_row(rule, pair, fresh) + left, reference_row(rule, pair, fresh) + left,
                     frame_row(rule, pair, old) + left, reference_row(rule, pair, old) + left,
                     sums, count);
        return;
    }
    memset(sums, 0, sizeof *sums * count);
    for (long read = row - margin; read <= fresh; read++)
        add_row(frame_row(rule, pair, read) + left, reference_row(rule, pair, read) + left, sums,
                count);
}

static void take_largest(const short *restrict sums, short *restrict most, long count)
{
    for (long i = 0; i < count; i++) {
        const short up = sums[i], down = -up, found = up > down ? up : down;
        most[i] = found > most[i] ? found : most[i];
    }
}

/* Repeat the first and the last pixel of a line beyond the frame's edges. */
static void repeat_edges(short *line, long before, long inside, long after)
{
    short *from = line + before * CHANNELS;
    for (long i = 0; i < before * CHANNELS; i++)
        line[i] = from[i % CHANNELS];
    from += inside * CHANNELS;
    for (long i = 0; i < after * CHANNELS; i++)
        from[i] = from[i - CHANNELS];
}

/* Find the squares whose sum is beyond the limit, from the sums of their columns. */
static inline __attribute__((always_inline)) void
add_columns(const short *restrict sums, short *restrict beyond, long count, short limit,
            const int blur)
{
    for (long i = 0; i < count; i++) {
        short sum = 0;
        _Pragma("GCC unroll 9") for (int k = 0; k < blur; k++)
            sum += sums[i + k * CHANNELS];
        beyond[i] = -((sum > limit) | (sum < -limit));
    }
}

static void find_squares(const short *sums, short *beyond, long count, short limit, long blur)
{
    switch (blur) { /* a known number of columns is added up in one go */
    case 1: add_columns(sums, beyond, count, limit, 1); break;
    case 3: add_columns(sums, beyond, count, limit, 3); break;
    case 5: add_columns(sums, beyond, count, limit, 5); break;
    default: add_columns(sums, beyond, count, limit, 9);
    }
}

/* Tiles of a row from the first to the last one that is restless or lies beside one that is. */
static struct run restless_run(const struct noise_rule *rule, long row, const struct memory *memory)
{
    const long columns = columns_of(rule), wide = columns + 2;
    struct run run = {.row = row, .first = columns, .last = 0, .top = row * rule->tile};
    const byte *above = memory->restless + row * wide, *beside = above + wide;
    for (long column = 0; column < wide; column++)
        if (above[column] | beside[column] | beside[column + wide]) {
            run.first = smaller(run.first, larger(column - 2, 0));
            run.last = smaller(column + 1, columns);
        }
    run.bottom = smaller(run.top + rule->tile, rule->height);
    run.left = run.first * rule->tile;
    run.right = smaller(run.last * rule->tile, rule->width);
    return run;
}

/* Find the tiles of a run of which a square might be beyond the limit. */
static void doubt(const struct noise_rule *rule, const struct run *run, const struct pair *pair,
                  const struct memory *memory)
{
    const long margin = rule->blur / 2;
    const long begin = larger(run->left - margin, 0);
    const long end = smaller(run->right + margin, rule->width);
    const long before = begin - (run->left - margin), count = CHANNELS * (end - begin);
    short *most = memory->most + before * CHANNELS;
    memset(most, 0, sizeof *most * count);
    for (long row = run->top; row < run->bottom; row++) {
        move_to(rule, pair, row, run->top, begin * CHANNELS, count, memory->sums);
        take_largest(memory->sums, most, count);
    }
    repeat_edges(memory->most, before, end - begin, run->right + margin - end);
    find_squares(memory->most, memory->beyond, CHANNELS * (run->right - run->left), limit_of(rule),
                 rule->blur);
    memset(memory->doubtful, 0, columns_of(rule));
    for (long column = run->first; column < run->last; column++) {
        const long left = column * rule->tile, right = smaller(left + rule->tile, rule->width);
        const size_t bytes = sizeof(short) * CHANNELS * (right - left);
        const short *beyond = memory->beyond + CHANNELS * (left - run->left);
        memory->doubtful[column] = memchr(beyond, 0xff, bytes) != 0;
    }
}

/* Count a row's pixels of which any channel is beyond the limit; what is between them means
   nothing. */
static void count_pixels(const short *restrict beyond, short *restrict counts, long count)
{
    for (long i = 0; i < count; i++)
        counts[i] -= beyond[i] | beyond[i + 1] | beyond[i + 2];
}

/* Mark those tiles of a run that have changed. */
static void judge(const struct noise_rule *rule, const struct run *run, const struct pair *pair,
                  const struct memory *memory, byte *marked)
{
    const long margin = rule->blur / 2, count = CHANNELS * (run->right - run->left);
    const long begin = larger(run->left - margin, 0);
    const long end = smaller(run->right + margin, rule->width);
    const long before = begin - (run->left - margin), after = run->right + margin - end;
    memset(memory->counts, 0, sizeof(short) * count);
    memset(memory->beyond + count, 0, sizeof(short) * CHANNELS);
    for (long row = run->top; row < run->bottom; row++) {
        move_to(rule, pair, row, run->top, begin * CHANNELS, (end - begin) * CHANNELS,
                memory->line + before * CHANNELS);
        repeat_edges(memory->line, before, end - begin, after);
        find_squares(memory->line, memory->beyond, count, limit_of(rule), rule->blur);
        count_pixels(memory->beyond, memory->counts, count);
    }
    for (long tile = run->first; tile < run->last; tile++) {
        const long left = tile * rule->tile, right = smaller(left + rule->tile, rule->width);
        long found = 0;
        for (long column = left; column < right; column++)
            found += memory->counts[CHANNELS * (column - run->left)];
        marked[tile] = found >= rule->pixels;
    }
}

/* Judge the doubtful tiles of a row, those side by side together; return how many are marked. */
static long judge_row(const struct noise_rule *rule, long row, const struct pair *pair,
                     const struct memory *memory, byte *marked)
{
    const struct run all = restless_run(rule, row, memory);
    if (all.first >= all.last)
        return 0;
    doubt(rule, &all, pair, memory);
    struct run run = all;
    for (run.first = all.first; run.first < all.last; run.first = run.last) {
        const byte doubtful = memory->doubtful[run.first];
        for (run.last = run.first + 1; run.last < all.last; run.last++)
            if (memory->doubtful[run.last] != doubtful)
                break;
        run.left = run.first * rule->tile;
        run.right = smaller(run.last * rule->tile, rule->width);
        if (doubtful)
            judge(rule, &run, pair, memory, marked);
    }
    long found = 0;
    for (long column = all.first; column < all.last; column++)
        found += marked[column];
    return found;
}

/* Compare a row of pixels; keep the largest difference of each byte. Return the sum of all. */
static long compare_row(const byte *restrict frame, const byte *restrict reference,
                        byte *restrict farthest, long count)
{
    unsigned sum = 0;
    for (long i = 0; i < count; i++) {
        const byte one = frame[i], other = reference[i];
        const byte most = one > other ? one : other, least = one > other ? other : one;
        const byte found = most - least;
        farthest[i] = found > farthest[i] ? found : farthest[i];
    }
    for (long i = 0; i < count; i++) {
        const int difference = frame[i] - reference[i];
        sum += difference < 0 ? -difference : difference;
    }
    return sum;
}

static byte largest_of(const byte *values, long count)
{
    byte found = 0;
    for (long i = 0; i < count; i++)
        found = values[i] > found ? values[i] : found;
    return found;
}

/* Of each byte, take the larger one of it and the one so far behind it. */
static void take_larger(const byte *restrict values, byte *restrict found, long count, long step)
{
    for (long i = 0; i < count; i++)
        found[i] = values[i] > values[i + step] ? values[i] : values[i + step];
}

/* Return the largest of `width` bytes from each on, in the place of the values or of the spare
   ones; there are `width` more of both, which count as 0. */
static const byte *largest_ahead(byte *values, byte *spare, long count, long width)
{
    memset(values + count, 0, width);
    memset(spare + count, 0, width);
    for (long done = 1; done < width;) { /* of twice as many each time */
        const long step = smaller(done, width - done);
        take_larger(values, spare, count, step);
        byte *found = spare;
        spare = values, values = found;
        done += step;
    }
    return values;
}

/* Compare a row of tiles; return how far it is from its reference. */
static struct distance compare(const struct noise_rule *rule, long row, const struct pair *pair,
                               const struct memory *memory)
{
    const long count = CHANNELS * rule->width;
    const long bottom = smaller((row + 1) * rule->tile, rule->height);
    struct distance found = {0, 0};
    memset(memory->farthest, 0, count);
    for (long y = row * rule->tile; y < bottom; y++)
        found.sum += compare_row(frame_row(rule, pair, y), reference_row(rule, pair, y),
                                 memory->farthest, count);
    found.largest = largest_of(memory->farthest, count);
    return found;
}

/* Compare a row of tiles, and find those of which a number is beyond the threshold. */
static void look(const struct noise_rule *rule, long row, const struct pair *pair,
                 const struct memory *memory)
{
    memory->distances[row] = compare(rule, row, pair, memory);
    if (memory->distances[row].largest <= rule->threshold)
        return;
    byte *restless = memory->restless + (row + 1) * (columns_of(rule) + 2) + 1;
    const long width = CHANNELS * rule->tile;
    const byte *largest =
        largest_ahead(memory->farthest, memory->spare, CHANNELS * rule->width, width);
    for (long column = 0; column < columns_of(rule); column++)
        restless[column] = largest[column * width] > rule->threshold;
}

/* Take marked tiles of a row over into the reference. */
static void renew_row(const struct noise_rule *rule, long row, const struct pair *pair,
                      const byte *marked)
{
    const long bottom = smaller((row + 1) * rule->tile, rule->height);
    for (long column = 0; column < columns_of(rule); column++) {
        const long left = column * rule->tile, right = smaller(left + rule->tile, rule->width);
        if (marked[column])
            for (long y = row * rule->tile; y < bottom; y++)
                memcpy(pair->reference + (y * rule->width + left) * CHANNELS,
                       pair->frame + y * pair->row + left * CHANNELS, (right - left) * CHANNELS);
    }
}

/* Mark the tiles of a frame that have changed, and renew the reference there. Return how many.

   frame: [height][width][3], its rows `row` bytes apart.  reference: what it is compared with.
   marked: [rows][columns] of tiles, 0 or 1.  distance: of the renewed reference.
   room: `changes_room` bytes, where 64-bit numbers may lie.

   A row of tiles is judged once those around it have been looked at, and renewed once the one below
   has been judged: meanwhile all of it is in the cache. */
long find_changes(const struct noise_rule *rule, const byte *frame, long row, byte *reference,
                  byte *marked, struct distance *distance, byte *room)
{
    const struct memory memory = divided(rule, room);
    const struct pair pair = {.frame = frame, .reference = reference, .row = row};
    const long columns = columns_of(rule), rows = rows_of(rule);
    memset(marked, 0, rows * columns);
    memset(memory.restless, 0, (rows + 2) * (columns + 2));
    long renewed[2] = {0, 0}, all = 0;
    *distance = (struct distance){0, 0};
    for (long number = 0; number < rows + 2; number++) {
        if (number < rows)
            look(rule, number, &pair, &memory);
        const long renew = number - 2, judged = number - 1;
        if (judged >= 0 && judged < rows)
            renewed[judged % 2] =
                judge_row(rule, judged, &pair, &memory, marked + judged * columns);
        if (renew < 0)
            continue;
        if (renewed[renew % 2]) {
            renew_row(rule, renew, &pair, marked + renew * columns);
            memory.distances[renew] = compare(rule, renew, &pair, &memory);
            all += renewed[renew % 2];
        }
        distance->largest = larger(distance->largest, memory.distances[renew].largest);
        distance->sum += memory.distances[renew].sum;
    }
    return all;
}
