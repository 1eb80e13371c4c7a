/* Grey levels of a picture as the numbers that a network is given. */

typedef unsigned char byte;

enum { CHANNELS = 3, STEP = 16 * CHANNELS }; /* pixels of a step fill whole vectors */

/* Write (level - mean) / deviation in rectangles (top, left, bottom, right) of a picture.

   image: [height][width][3], its rows `image_row` bytes apart.
   frame: likewise, its rows `frame_row` floats apart.  means, deviations: of each channel. */
void scale_levels(const byte *image, long image_row, float *frame, long frame_row,
                  const long *rectangles, long count, const float *means, const float *deviations)
{
    float mean[STEP], deviation[STEP];
    for (long i = 0; i < STEP; i++) {
        mean[i] = means[i % CHANNELS];
        deviation[i] = deviations[i % CHANNELS];
    }
    for (const long *sides = rectangles; sides < rectangles + 4 * count; sides += 4)
        for (long row = sides[0]; row < sides[2]; row++) {
            const byte *restrict from = image + row * image_row + CHANNELS * sides[1];
            float *restrict to = frame + row * frame_row + CHANNELS * sides[1];
            long left = CHANNELS * (sides[3] - sides[1]);
            for (; left >= STEP; left -= STEP, from += STEP, to += STEP)
                for (long i = 0; i < STEP; i++)
                    to[i] = ((float)from[i] - mean[i]) / deviation[i];
            for (long i = 0; i < left; i++)
                to[i] = ((float)from[i] - mean[i]) / deviation[i];
        }
}
