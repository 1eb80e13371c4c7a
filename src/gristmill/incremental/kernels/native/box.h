/* Rectangles of a map, in pixels or in cells: the first row and column, and those behind the last. */

#pragma once

struct box {
    long top, left, bottom, right;
};

static inline long box_area(const struct box *box)
{
    return (box->bottom - box->top) * (box->right - box->left);
}

/* The smallest box that holds both. */
static inline struct box box_around(const struct box *one, const struct box *other)
{
    return (struct box){
        one->top < other->top ? one->top : other->top,
        one->left < other->left ? one->left : other->left,
        one->bottom > other->bottom ? one->bottom : other->bottom,
        one->right > other->right ? one->right : other->right,
    };
}
