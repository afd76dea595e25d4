/* When the time of requests is up: a heap of (when, number of the request). What was answered stays in it
   until its time comes, or until the heap is full: a request costs the same however many there are. */

#include "_speedups.h"

#include <time.h>

#define LEAST_CAPACITY 1024

double
seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void
sift_up(Deadline *items, size_t i)
{
    Deadline moving = items[i];
    while (i > 0 && moving.at < items[(i - 1) / 2].at) {
        items[i] = items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    items[i] = moving;
}

static void
sift_down(Deadline *items, size_t count, size_t i)
{
    Deadline moving = items[i];
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && items[child + 1].at < items[child].at) {
            child++;
        }
        if (moving.at <= items[child].at) {
            break;
        }
        items[i] = items[child];
        i = child;
    }
    items[i] = moving;
}

static void
drop_answered(Deadlines *heap, const Table *requests)
{
    size_t kept = 0;
    for (size_t i = 0; i < heap->count; i++) {
        if (table_get(requests, heap->items[i].number) != NULL) {
            heap->items[kept++] = heap->items[i];
        }
    }
    heap->count = kept;
    for (size_t i = kept / 2; i-- > 0;) {
        sift_down(heap->items, kept, i);
    }
}

static int
grow(Deadlines *heap)
{
    size_t capacity = heap->capacity ? 2 * heap->capacity : LEAST_CAPACITY;
    Deadline *items = PyMem_Realloc(heap->items, capacity * sizeof(*items));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    heap->items = items;
    heap->capacity = capacity;
    return 0;
}

int
deadlines_push(Deadlines *heap, double at, uint64_t number, const Table *requests)
{
    if (heap->count == heap->capacity) {
        drop_answered(heap, requests);
        if (2 * heap->count >= heap->capacity && grow(heap) < 0) {
            return -1;
        }
    }
    heap->items[heap->count] = (Deadline){at, number};
    sift_up(heap->items, heap->count++);
    return 0;
}

void
deadlines_pop(Deadlines *heap)
{
    heap->items[0] = heap->items[--heap->count];
    if (heap->count) {
        sift_down(heap->items, heap->count, 0);
    }
}

void
deadlines_clear(Deadlines *heap)
{
    PyMem_Free(heap->items);
    *heap = (Deadlines){.told = INFINITY};
}
