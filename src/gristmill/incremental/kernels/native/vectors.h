/* Vectors of floats, as wide as the machine has them. */

#ifndef GRISTMILL_VECTORS_H
#define GRISTMILL_VECTORS_H

#include <math.h>
#include <string.h>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* LANES: floats of a vector. SUMS: vectors of sums that fit the registers, beside those read. */
#if defined(__AVX512F__)
enum { LANES = 16, SUMS = 24 };
#elif defined(__AVX__)
enum { LANES = 8, SUMS = 12 };
#elif defined(__aarch64__)
enum { LANES = 4, SUMS = 24 };
#else
enum { LANES = 4, SUMS = 12 };
#endif

/* Differences and weights that are nothing, where others are divided by the largest. */
#define TINY 1e-30f

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int lanes __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *from)
{
    vector found;
    memcpy(&found, from, sizeof found); /* memory need not be aligned */
    return found;
}

INLINE void store(float *to, vector values)
{
    memcpy(to, &values, sizeof values);
}

INLINE vector all(float value)
{
    return value - (vector){0};
}

/* The first `count` floats of a vector, fewer than LANES; zeros behind them. By halves: a copy of
   a fixed size is one instruction; unless the machine has one for any. */
INLINE vector load_some(const float *from, long count)
{
#if defined(__AVX512F__)
    return (vector)_mm512_maskz_loadu_ps((__mmask16)((1 << count) - 1), from);
#else
    float found[LANES] = {0};
    long done = 0;
    for (long half = LANES / 2; half; half /= 2)
        if (count & half) {
            memcpy(found + done, from + done, 4 * half);
            done += half;
        }
    return load(found);
#endif
}

INLINE void store_some(float *to, vector values, long count)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1 << count) - 1), (__m512)values);
#else
    float kept[LANES];
    long done = 0;
    store(kept, values);
    for (long half = LANES / 2; half; half /= 2)
        if (count & half) {
            memcpy(to + done, kept + done, 4 * half);
            done += half;
        }
#endif
}

/* Per lane: where `condition` holds (all bits), `yes`, else `no`. */
INLINE vector choose(lanes condition, vector yes, vector no)
{
    return (vector)((condition & (lanes)yes) | (~condition & (lanes)no));
}

/* Write `first` and the lane's number of every lane that is not zero, one after the other; what
   is behind them, up to LANES numbers, may be anything. Return how many there are. */
INLINE long put_numbers(lanes values, long first, unsigned short *to)
{
#if defined(__AVX512F__)
    const __m512i from = _mm512_set1_epi32((int)first);
    const __m512i numbers = _mm512_add_epi32(
        from, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __mmask16 set = _mm512_test_epi32_mask((__m512i)values, (__m512i)values);
    const __m256i found = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(set, numbers));
    memcpy(to, &found, sizeof found);
    return __builtin_popcount(set);
#else
    long count = 0;
    for (int lane = 0; lane < LANES; lane++) {
        to[count] = (unsigned short)(first + lane);
        count += values[lane] != 0;
    }
    return count;
#endif
}

/* sum + one * other, rounded once where the processor can do that. Said in so many words:
   compilers break some of such sums in two and leave others, and bits would differ. */
INLINE vector plus_product(vector sum, vector one, vector other)
{
#if defined(__AVX512F__)
    return (vector)_mm512_fmadd_ps((__m512)one, (__m512)other, (__m512)sum);
#elif defined(__AVX__) && defined(__FMA__)
    return (vector)_mm256_fmadd_ps((__m256)one, (__m256)other, (__m256)sum);
#elif defined(__aarch64__)
    return (vector)vfmaq_f32((float32x4_t)sum, (float32x4_t)one, (float32x4_t)other);
#else
    return sum + one * other;
#endif
}

/* Two numbers rounded to bfloat16, the first one in the lower half of a float's memory. To the
   nearest, ties to even; NaN with a payload of all ones, which no arithmetic makes, is lost. */
INLINE float rounded_pair(float one, float other)
{
    unsigned bits[2], joined;
    float found;
    memcpy(bits, &one, 4);
    memcpy(bits + 1, &other, 4);
    for (int n = 0; n < 2; n++)
        bits[n] += 0x7fff + (bits[n] >> 16 & 1);
    joined = bits[0] >> 16 | (bits[1] & 0xffff0000u);
    memcpy(&found, &joined, 4);
    return found;
}

/* Pairs of neighbours: first those of one vector, then those of another. */
INLINE vector rounded_pairs(vector one, vector other)
{
#if defined(__AVX512BF16__)
    return (vector)_mm512_cvtne2ps_pbh((__m512)other, (__m512)one);
#else
    float values[2 * LANES], found[LANES];
    store(values, one);
    store(values + LANES, other);
    for (int n = 0; n < LANES; n++)
        found[n] = rounded_pair(values[2 * n], values[2 * n + 1]);
    return load(found);
#endif
}

/* The four bytes of a float in every lane. */
INLINE lanes all_bits(const float *from)
{
    int bits;
    memcpy(&bits, from, 4);
    return bits - (lanes){0};
}

/* Numbers of bfloat16 that lie in pairs: a vector's in lower halves, the next one's in upper ones. */
INLINE void load_halves(const unsigned short *from, vector found[2])
{
    lanes pairs;
    memcpy(&pairs, from, sizeof pairs);
    found[0] = (vector)(pairs << 16);
    found[1] = (vector)(pairs & (lanes){0} - 65536);
}

/* sum + one * other of both halves of each lane. */
INLINE vector plus_two_products(vector sum, vector one, vector other)
{
#if defined(__AVX512BF16__)
    return (vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)one, (__m512bh)other);
#else
    const lanes upper = (lanes){0} - 65536;
    const vector low = plus_product(sum, (vector)((lanes)one << 16), (vector)((lanes)other << 16));
    return plus_product(low, (vector)((lanes)one & upper), (vector)((lanes)other & upper));
#endif
}

/* Round to whole numbers, add 128, and write a byte for each. Numbers are from -128 to 127. */
INLINE void put_bytes(unsigned char *to, vector values)
{
#if defined(__AVX512F__)
    const __m512i found = _mm512_add_epi32(_mm512_cvtps_epi32((__m512)values), _mm512_set1_epi32(128));
    const __m128i bytes = _mm512_cvtepi32_epi8(found);
    memcpy(to, &bytes, sizeof bytes);
#else
    for (int lane = 0; lane < LANES; lane++)
        to[lane] = (unsigned char)(nearbyintf(values[lane]) + 128.0f);
#endif
}

/* Round four vectors to whole numbers from -128 to 127, add 128, and write them as bytes: of the
   first four lanes, those of the first vector, of the second one and so on; then of the next four. */
INLINE void put_fours(unsigned char *to, const vector values[4])
{
#if defined(__AVX512BW__)
    __m512i found[4];
    for (int v = 0; v < 4; v++)
        found[v] = _mm512_cvtps_epi32((__m512)values[v]);
    const __m512i bytes = _mm512_xor_si512(
        _mm512_packs_epi16(_mm512_packs_epi32(found[0], found[1]),
                           _mm512_packs_epi32(found[2], found[3])),
        _mm512_set1_epi8(-128));
    memcpy(to, &bytes, sizeof bytes);
#else
    for (int at = 0; at < 4 * LANES; at++) {
        const float value = nearbyintf(values[at / 4 % 4][at / 16 * 4 + at % 4]) + 128.0f;
        to[at] = (unsigned char)(value > 0.0f ? value < 255.0f ? value : 255.0f : 0.0f);
    }
#endif
}

/* Bytes of four pixels that lie so, those of a channel side by side in its lane. */
INLINE void load_fours(const unsigned char *one, const unsigned char *two,
                       const unsigned char *three, const unsigned char *four, lanes found[4])
{
#if defined(__AVX512BW__)
    const __m512i a = _mm512_loadu_si512(one), b = _mm512_loadu_si512(two);
    const __m512i c = _mm512_loadu_si512(three), d = _mm512_loadu_si512(four);
    const __m512i low = _mm512_unpacklo_epi8(a, b), other_low = _mm512_unpacklo_epi8(c, d);
    const __m512i high = _mm512_unpackhi_epi8(a, b), other_high = _mm512_unpackhi_epi8(c, d);
    found[0] = (lanes)_mm512_unpacklo_epi16(low, other_low);
    found[1] = (lanes)_mm512_unpackhi_epi16(low, other_low);
    found[2] = (lanes)_mm512_unpacklo_epi16(high, other_high);
    found[3] = (lanes)_mm512_unpackhi_epi16(high, other_high);
#else
    for (int at = 0; at < 4 * LANES; at++) {
        const unsigned char bytes[4] = {one[at], two[at], three[at], four[at]};
        int joined;
        memcpy(&joined, bytes, 4);
        found[at / 4 % 4][at / 16 * 4 + at % 4] = joined;
    }
#endif
}

/* sum + one * other of all four bytes of each lane; those of `other` have signs. */
INLINE lanes plus_four_products(lanes sum, lanes one, lanes other)
{
#if defined(__AVX512VNNI__)
    return (lanes)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)one, (__m512i)other);
#else
    for (int shift = 0; shift < 32; shift += 8)
        sum += (one >> shift & 255) * (other << (24 - shift) >> 24);
    return sum;
#endif
}

/* The larger and the smaller of two, lane by lane; NaN where `values` are. */
INLINE vector at_least(vector bound, vector values)
{
#if defined(__AVX512F__)
    return (vector)_mm512_max_ps((__m512)bound, (__m512)values);
#elif defined(__AVX__)
    return (vector)_mm256_max_ps((__m256)bound, (__m256)values);
#else
    return choose(values < bound, bound, values);
#endif
}

INLINE vector at_most(vector bound, vector values)
{
#if defined(__AVX512F__)
    return (vector)_mm512_min_ps((__m512)bound, (__m512)values);
#elif defined(__AVX__)
    return (vector)_mm256_min_ps((__m256)bound, (__m256)values);
#else
    return choose(values > bound, bound, values);
#endif
}

/* Sizes of numbers without their signs, as integers: in their order, and NaN above all. */
INLINE lanes size_bits(vector values)
{
    return (lanes)values & 0x7fffffff;
}

INLINE lanes larger_of(lanes one, lanes other)
{
#if defined(__AVX512F__)
    return (lanes)_mm512_max_epi32((__m512i)one, (__m512i)other);
#else
    const lanes larger = one > other;
    return (one & larger) | (other & ~larger);
#endif
}

/* The largest of such sizes as a number; not one if one is none. */
INLINE float largest_size(lanes sizes)
{
    float found;
#if defined(__AVX512F__)
    const int largest = _mm512_reduce_max_epi32((__m512i)sizes);
#else
    int largest = 0;
    for (int lane = 0; lane < LANES; lane++)
        largest = sizes[lane] > largest ? sizes[lane] : largest;
#endif
    memcpy(&found, &largest, 4);
    return found;
}

/* Bounds that leave NaN what it is. */
INLINE vector bounded(vector values, float low, float high)
{
    return at_most(all(high), at_least(all(low), values));
}

#endif
