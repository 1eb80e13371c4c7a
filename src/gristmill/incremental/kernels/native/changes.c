/* Places of a frame that differ from its reference beyond noise.

   A square's sum is that of its columns' sums, which take a few additions a byte, from row to row.
   Noise cancels out in them. For a row of tiles, the largest of each column's sums are kept: where
   those of neighbours do not add up to what a change takes, no square does. So squares are added
   up, row by row, in a few tiles only. */

#include <string.h>

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
    const byte *frame, *reference; /* [height][width][3] */
    long row;                      /* bytes from one row of the frame to the next */
};

/* Some tiles side by side of a row of tiles, and the pixels of the frame in them. */
struct run {
    long row, first, last; /* tiles; `last` is the one after them */
    long top, bottom, left, right;
};

/* Memory for a row of tiles; a line is a row of pixels with the margins of squares. */
struct memory {
    short *sums;    /* of columns of the whole frame's width */
    short *most;    /* the largest of them so far, up or down */
    short *line;    /* sums of columns of a run */
    short *beyond;  /* -1 where the sum of a square is beyond the limit */
    short *counts;  /* pixels beyond it so far */
    byte *doubtful; /* of each tile, whether its squares are to be added up */
};

static long smaller(long one, long other) { return one < other ? one : other; }
static long larger(long one, long other) { return one > other ? one : other; }

static long columns_of(const struct noise_rule *rule)
{
    return (rule->width + rule->tile - 1) / rule->tile;
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
    return 5 * sizeof(short) * line_of(rule) + columns_of(rule);
}

static struct memory divided(const struct noise_rule *rule, byte *room)
{
    const long line = line_of(rule);
    struct memory found;
    found.sums = (short *)room;
    found.most = found.sums + line;
    found.line = found.most + line;
    found.beyond = found.line + line;
    found.counts = found.beyond + line;
    found.doubtful = (byte *)(found.counts + line);
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

/* Find the tiles of a row of tiles of which a square might be beyond the limit. */
static void doubt(const struct noise_rule *rule, const struct memory *memory)
{
    const long margin = rule->blur / 2, count = CHANNELS * rule->width;
    memcpy(memory->line + margin * CHANNELS, memory->most, sizeof(short) * count);
    repeat_edges(memory->line, margin, rule->width, margin);
    find_squares(memory->line, memory->beyond, count, limit_of(rule), rule->blur);
    for (long column = 0; column < columns_of(rule); column++) {
        const long left = column * rule->tile, right = smaller(left + rule->tile, rule->width);
        const size_t bytes = sizeof(short) * CHANNELS * (right - left);
        memory->doubtful[column] = memchr(memory->beyond + left * CHANNELS, 0xff, bytes) != 0;
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

/* Judge the doubtful tiles of a row, those side by side together. */
static void judge_row(const struct noise_rule *rule, long row, const struct pair *pair,
                      const struct memory *memory, byte *marked)
{
    struct run run = {.row = row, .top = row * rule->tile};
    run.bottom = smaller(run.top + rule->tile, rule->height);
    for (run.first = 0; run.first < columns_of(rule); run.first = run.last) {
        const byte doubtful = memory->doubtful[run.first];
        for (run.last = run.first + 1; run.last < columns_of(rule); run.last++)
            if (memory->doubtful[run.last] != doubtful)
                break;
        run.left = run.first * rule->tile;
        run.right = smaller(run.last * rule->tile, rule->width);
        if (doubtful)
            judge(rule, &run, pair, memory, marked);
    }
}

/* Take marked tiles of a row over into the reference. */
static void renew_row(const struct noise_rule *rule, long row, const struct pair *pair,
                      const byte *marked, byte *reference)
{
    const long bottom = smaller((row + 1) * rule->tile, rule->height);
    for (long column = 0; column < columns_of(rule); column++) {
        const long left = column * rule->tile, right = smaller(left + rule->tile, rule->width);
        if (marked[column])
            for (long y = row * rule->tile; y < bottom; y++)
                memcpy(reference + (y * rule->width + left) * CHANNELS,
                       pair->frame + y * pair->row + left * CHANNELS, (right - left) * CHANNELS);
    }
}

/* Mark the tiles of a frame that have changed, and renew the reference there.

   frame: [height][width][3], its rows `row` bytes apart.  kept: a copy is left here.
   reference: what it is compared with.  marked: [rows][columns] of tiles, 0 or 1.
   room: `changes_room` bytes, where 16-bit numbers may lie. */
void find_changes(const struct noise_rule *rule, const byte *frame, long row, byte *kept,
                  byte *reference, byte *marked, byte *room)
{
    const struct memory memory = divided(rule, room);
    const struct pair pair = {.frame = frame, .reference = reference, .row = row};
    const long columns = columns_of(rule), line = rule->width * CHANNELS;
    const long rows = (rule->height + rule->tile - 1) / rule->tile;
    memset(marked, 0, rows * columns);
    for (long number = 0; number < rows; number++) {
        const long top = number * rule->tile, bottom = smaller(top + rule->tile, rule->height);
        memset(memory.most, 0, sizeof(short) * line);
        for (long y = top; y < bottom; y++) {
            move_to(rule, &pair, y, 0, 0, line, memory.sums);
            take_largest(memory.sums, memory.most, line);
            memcpy(kept + y * line, frame + y * row, line);
        }
        doubt(rule, &memory);
        judge_row(rule, number, &pair, &memory, marked + number * columns);
    }
    for (long number = 0; number < rows; number++)
        renew_row(rule, number, &pair, marked + number * columns, reference);
}
