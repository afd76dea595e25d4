/* A first-in-first-out array. Items move to the front only when half of it is free there, so a push
   costs the same however long the queue is. */

#include "_speedups.h"

void
queue_init(Queue *queue, size_t item_size)
{
    memset(queue, 0, sizeof(*queue));
    queue->item_size = item_size;
}

void
queue_free(Queue *queue)
{
    PyMem_Free(queue->items);
    queue_init(queue, queue->item_size);
}

int
queue_reserve(Queue *queue)
{
    if (queue->first + queue->count < queue->capacity) {
        return 0;
    }
    if (queue->first > queue->capacity / 2) {
        memmove(queue->items, queue_at(queue, 0), queue->count * queue->item_size);
        queue->first = 0;
        return 0;
    }
    size_t capacity = queue->capacity ? 2 * queue->capacity : 16;
    char *items = PyMem_Realloc(queue->items, capacity * queue->item_size);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    queue->items = items;
    queue->capacity = capacity;
    return 0;
}

void
queue_pop(Queue *queue)
{
    queue->count--;
    queue->first = queue->count ? queue->first + 1 : 0;
}
