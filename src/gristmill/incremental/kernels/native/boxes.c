/* Many rectangles joined to few. */

#include "box.h"

/* Of each box, the one after it with which it wastes least, and what that is. */
struct partner {
    long number, waste; /* -1: there is none; -2: the box is part of another */
};

enum { NONE = -1, GONE = -2 };

/* Pixels that the bounding box of two has beyond both. */
static long waste(const struct box *one, const struct box *other)
{
    const struct box both = box_around(one, other);
    return box_area(&both) - box_area(one) - box_area(other);
}

static void choose_partner(const struct box *boxes, struct partner *partners, long count, long of)
{
    struct partner *partner = &partners[of];
    partner->number = NONE;
    for (long other = of + 1; other < count; other++) {
        if (partners[other].number == GONE)
            continue;
        const long found = waste(&boxes[of], &boxes[other]);
        if (partner->number == NONE || found < partner->waste)
            *partner = (struct partner){other, found};
    }
}

/* Choose anew where one box has grown and another, after it, is part of it. */
static void choose_again(const struct box *boxes, struct partner *partners, long count, long grown,
                         long gone)
{
    for (long of = 0; of < gone; of++) {
        struct partner *partner = &partners[of];
        if (partner->number == GONE)
            continue;
        if (of == grown || partner->number == grown || partner->number == gone) {
            choose_partner(boxes, partners, count, of);
        } else if (of < grown) {
            const long found = waste(&boxes[of], &boxes[grown]);
            if (found < partner->waste || (found == partner->waste && grown < partner->number))
                *partner = (struct partner){grown, found};
        }
    }
}

/* Join boxes to their bounding boxes, those first that waste the fewest pixels: while there are
   more than `most`, and while nothing is wasted. Return how many are left, the first ones.

   room: for a partner of each box. */
long join_boxes(struct box *boxes, long count, long most, struct partner *room)
{
    long left = count, kept = 0;
    for (long of = 0; of < count; of++)
        room[of].number = NONE;
    for (long of = 0; of < count; of++)
        choose_partner(boxes, room, count, of);
    while (left > 1) {
        long best = NONE;
        for (long of = 0; of < count; of++)
            if (room[of].number >= 0 && (best == NONE || room[of].waste < room[best].waste))
                best = of;
        const long other = room[best].number;
        if (room[best].waste > 0 && left <= most)
            break;
        boxes[best] = box_around(&boxes[best], &boxes[other]);
        room[other].number = GONE;
        choose_again(boxes, room, count, best, other);
        left--;
    }
    for (long of = 0; of < count; of++)
        if (room[of].number != GONE)
            boxes[kept++] = boxes[of];
    return left;
}
