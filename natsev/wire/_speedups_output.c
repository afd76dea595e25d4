/* Frames in order, until the kernel has taken them: frames.py says what a frame is.

   The bytes of frames lie in chunks, which are bytes objects that are filled once, from front to back, and
   never moved: memoryviews of what is to be sent stay good whatever is appended after. A frame lies in one
   chunk whole, but for the payload of a large one, which stays where it is; it goes before the last
   two bytes (the line end) of its frame. A frame that is dropped keeps its bytes and is passed over. */

#include "_speedups.h"

#define CHUNK_SIZE (64 * 1024)
#define FLAG_BITS 4

typedef struct {
    PyObject *bytes;
    Py_ssize_t used;
} Chunk;

/* Where a frame is. */
typedef struct {
    size_t chunk, payload;
    Py_ssize_t offset;
} Place;

void
out_init(Output *out)
{
    memset(out, 0, sizeof(*out));
    queue_init(&out->chunks, sizeof(Chunk));
    queue_init(&out->frames, sizeof(uint64_t));
    queue_init(&out->payloads, sizeof(Payload));
}

static Chunk *
chunk_at(const Output *out, size_t i)
{
    return queue_at(&out->chunks, i);
}

static Payload *
payload_at(const Output *out, size_t i)
{
    return queue_at(&out->payloads, i);
}

static uint64_t *
frame_at(const Output *out, size_t i)
{
    return queue_at(&out->frames, i);
}

static Py_ssize_t
frame_size(uint64_t frame)
{
    return (Py_ssize_t)(frame >> FLAG_BITS);
}

static Py_ssize_t
frame_length(uint64_t frame)
{
    return frame & FRAME_DROPPED ? 0 : frame_size(frame);
}

/* The bytes of a frame that lie in its chunk. */
static Py_ssize_t
inline_size(const Output *out, uint64_t frame, const Place *place)
{
    Py_ssize_t size = frame_size(frame);
    return frame & FRAME_LARGE ? size - payload_at(out, place->payload)->text.size : size;
}

/* A place at the end of a chunk is the beginning of the next, where there is one. */
static void
settle(const Output *out, Place *place)
{
    while (place->chunk + 1 < out->chunks.count &&
           place->offset == chunk_at(out, place->chunk)->used) {
        place->chunk++;
        place->offset = 0;
    }
}

static Place
first_place(const Output *out)
{
    Place place = {0, 0, out->offset};
    if (out->chunks.count) {
        settle(out, &place);
    }
    return place;
}

static void
next_place(const Output *out, uint64_t frame, Place *place)
{
    place->offset += inline_size(out, frame, place);
    place->payload += (frame & FRAME_LARGE) != 0;
    settle(out, place);
}

static void
forget_places_before(Output *out, const Place *place)
{
    for (size_t i = 0; i < place->chunk; i++) {
        Py_DECREF(chunk_at(out, 0)->bytes);
        queue_pop(&out->chunks);
    }
    for (size_t i = 0; i < place->payload; i++) {
        Py_XDECREF(payload_at(out, 0)->owner);
        queue_pop(&out->payloads);
    }
    out->offset = place->offset;
}

static void
pop_frame(Output *out)
{
    Place place = first_place(out);
    next_place(out, *frame_at(out, 0), &place);
    queue_pop(&out->frames);
    forget_places_before(out, &place);
}

void
out_clear(Output *out)
{
    Py_CLEAR(out->prefix);
    out->taken = 0;
    out->pending = 0;
    while (out->frames.count) {
        pop_frame(out);
    }
}

void
out_free(Output *out)
{
    out_clear(out);
    while (out->chunks.count) {
        Py_DECREF(chunk_at(out, 0)->bytes);
        queue_pop(&out->chunks);
    }
    queue_free(&out->chunks);
    queue_free(&out->frames);
    queue_free(&out->payloads);
}

static int
add_chunk(Output *out, Py_ssize_t size)
{
    if (queue_reserve(&out->chunks) < 0) {
        return -1;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size > CHUNK_SIZE ? size : CHUNK_SIZE);
    if (bytes == NULL) {
        return -1;
    }
    *(Chunk *)queue_push(&out->chunks) = (Chunk){bytes, 0};
    Place place = first_place(out);
    forget_places_before(out, &place);
    return 0;
}

char *
out_reserve(Output *out, Py_ssize_t size)
{
    if (queue_reserve(&out->frames) < 0 || queue_reserve(&out->payloads) < 0) {
        return NULL;
    }
    Chunk *last = out->chunks.count ? chunk_at(out, out->chunks.count - 1) : NULL;
    if (last == NULL || PyBytes_GET_SIZE(last->bytes) - last->used < size) {
        if (add_chunk(out, size) < 0) {
            return NULL;
        }
        last = chunk_at(out, out->chunks.count - 1);
    }
    return PyBytes_AS_STRING(last->bytes) + last->used;
}

void
out_commit(Output *out, Py_ssize_t size, int flags, PyObject *owner, Text payload)
{
    chunk_at(out, out->chunks.count - 1)->used += size;
    if (owner != NULL) {
        *(Payload *)queue_push(&out->payloads) = (Payload){Py_NewRef(owner), payload};
        size += payload.size;
        flags |= FRAME_LARGE;
    }
    *(uint64_t *)queue_push(&out->frames) = (uint64_t)size << FLAG_BITS | (unsigned)flags;
    out->pending += size;
    out->appended++;
}

int
out_append(Output *out, Text frame)
{
    char *place = out_reserve(out, frame.size);
    if (place == NULL) {
        return -1;
    }
    memcpy(place, frame.data, (size_t)frame.size);
    int ping = frame.size >= 4 && memcmp(frame.data, "PING", 4) == 0;
    out_commit(out, frame.size, ping ? FRAME_PING : 0, NULL, (Text){NULL, 0});
    return 0;
}

int
out_prepend(Output *out, Text data)
{
    Py_ssize_t there = out->prefix ? PyBytes_GET_SIZE(out->prefix) : 0;
    PyObject *prefix = PyBytes_FromStringAndSize(NULL, data.size + there);
    if (prefix == NULL) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(prefix), data.data, (size_t)data.size);
    if (there) {
        memcpy(PyBytes_AS_STRING(prefix) + data.size, PyBytes_AS_STRING(out->prefix), (size_t)there);
    }
    Py_XSETREF(out->prefix, prefix);
    out->pending += data.size;
    return 0;
}

/* -- What to send */

typedef struct {
    State *state;
    PyObject *pieces;    /* list */
    Py_ssize_t skip;     /* bytes at the beginning that have been taken */
    Py_ssize_t gathered; /* bytes so far */
    PyObject *bytes;     /* where the piece is that still grows, or NULL */
    const char *data;
    Py_ssize_t size;
} Gather;

static int
end_piece(Gather *gather)
{
    if (gather->bytes == NULL) {
        return 0;
    }
    PyObject *piece;
    if (gather->size == PyBytes_GET_SIZE(gather->bytes)) {
        piece = Py_NewRef(gather->bytes);
    }
    else {
        piece = room_view(gather->state, gather->bytes, (char *)gather->data, gather->size, 1);
    }
    gather->bytes = NULL;
    if (piece == NULL) {
        return -1;
    }
    int failed = PyList_Append(gather->pieces, piece);
    Py_DECREF(piece);
    return failed;
}

static int
gather(Gather *gather, PyObject *bytes, const char *data, Py_ssize_t size)
{
    Py_ssize_t skipped = gather->skip < size ? gather->skip : size;
    gather->skip -= skipped;
    data += skipped;
    size -= skipped;
    if (size == 0) {
        return 0;
    }
    gather->gathered += size;
    if (gather->bytes == bytes && gather->data + gather->size == data) {
        gather->size += size;
        return 0;
    }
    if (end_piece(gather) < 0) {
        return -1;
    }
    gather->bytes = bytes;
    gather->data = data;
    gather->size = size;
    return 0;
}

static int
gather_frame(Gather *to, const Output *out, uint64_t frame, const Place *place)
{
    PyObject *bytes = chunk_at(out, place->chunk)->bytes;
    const char *data = PyBytes_AS_STRING(bytes) + place->offset;
    Py_ssize_t size = inline_size(out, frame, place);
    if (!(frame & FRAME_LARGE)) {
        return gather(to, bytes, data, size);
    }
    const Payload *payload = payload_at(out, place->payload);
    if (gather(to, bytes, data, size - 2) < 0 ||
        gather(to, payload->owner, payload->text.data, payload->text.size) < 0) {
        return -1;
    }
    return gather(to, bytes, data + size - 2, 2);
}

PyObject *
out_pieces(Output *out, State *state, Py_ssize_t most)
{
    Gather to = {.state = state, .pieces = PyList_New(0), .skip = out->taken};
    if (to.pieces == NULL) {
        return NULL;
    }
    if (out->prefix != NULL &&
        gather(&to, out->prefix, PyBytes_AS_STRING(out->prefix), PyBytes_GET_SIZE(out->prefix)) < 0) {
        goto failed;
    }
    Place place = first_place(out);
    for (size_t i = 0; i < out->frames.count; i++) {
        /* A large frame adds up to three pieces to the one that grows. */
        if (to.gathered >= most || PyList_GET_SIZE(to.pieces) > MOST_PIECES - 4) {
            break;
        }
        uint64_t frame = *frame_at(out, i);
        if (!(frame & FRAME_DROPPED) && gather_frame(&to, out, frame, &place) < 0) {
            goto failed;
        }
        next_place(out, frame, &place);
    }
    if (end_piece(&to) < 0) {
        goto failed;
    }
    return to.pieces;
failed:
    Py_DECREF(to.pieces);
    return NULL;
}

void
out_take(Output *out, Py_ssize_t size)
{
    out->pending -= size;
    size += out->taken;
    if (out->prefix != NULL) {
        if (size < PyBytes_GET_SIZE(out->prefix)) {
            out->taken = size;
            return;
        }
        size -= PyBytes_GET_SIZE(out->prefix);
        Py_CLEAR(out->prefix);
    }
    Place place = first_place(out);
    while (out->frames.count) {
        uint64_t frame = *frame_at(out, 0);
        if (frame_length(frame) > size) {
            break;
        }
        size -= frame_length(frame);
        next_place(out, frame, &place);
        queue_pop(&out->frames);
    }
    forget_places_before(out, &place);
    out->taken = size;
}

/* -- What is given up */

static void
drop(Output *out, uint64_t *frame, const Place *place)
{
    out->pending -= frame_length(*frame);
    *frame |= FRAME_DROPPED;
    if (*frame & FRAME_LARGE) {
        Py_CLEAR(payload_at(out, place->payload)->owner);
    }
}

static void
pop_dropped(Output *out)
{
    while (out->frames.count && *frame_at(out, 0) & FRAME_DROPPED) {
        pop_frame(out);
    }
}

/* Has the kernel a part of the first frame? */
static int
half_taken(const Output *out)
{
    return out->taken && out->prefix == NULL;
}

void
out_rewind(Output *out)
{
    out->pending += out->taken;
    out->pending -= out->prefix ? PyBytes_GET_SIZE(out->prefix) : 0;
    out->taken = 0;
    Py_CLEAR(out->prefix);
    Place place = first_place(out);
    for (size_t i = 0; i < out->frames.count; i++) {
        uint64_t *frame = frame_at(out, i);
        if (!(*frame & (FRAME_MESSAGE | FRAME_PING))) {
            drop(out, frame, &place);
        }
        next_place(out, *frame, &place);
    }
    pop_dropped(out);
}

static Place
place_of(const Output *out, size_t i)
{
    Place place = first_place(out);
    for (size_t before = 0; before < i; before++) {
        next_place(out, *frame_at(out, before), &place);
    }
    return place;
}

void
out_drop(Output *out, uint64_t number)
{
    uint64_t sent = out_sent(out);
    if (number <= sent + (half_taken(out) ? 1 : 0) || number > out->appended) {
        return;
    }
    size_t i = (size_t)(number - sent - 1);
    uint64_t *frame = frame_at(out, i);
    Place place = *frame & FRAME_LARGE ? place_of(out, i) : first_place(out);
    drop(out, frame, &place);
    pop_dropped(out);
}

/* Headers and payload of a message: the last number of its first line. */
static Py_ssize_t
message_size(const char *frame)
{
    const char *digit = frame;
    for (; *frame != '\r'; frame++) {
        if (*frame == ' ') {
            digit = frame + 1;
        }
    }
    Py_ssize_t size = 0;
    for (; digit < frame; digit++) {
        size = 10 * size + (*digit - '0');
    }
    return size;
}

PyObject *
out_drop_messages(Output *out, Py_ssize_t larger_than)
{
    PyObject *dropped = PyList_New(0);
    if (dropped == NULL) {
        return NULL;
    }
    Place place = first_place(out);
    for (size_t i = 0; i < out->frames.count; i++) {
        uint64_t *frame = frame_at(out, i);
        int whole = i > 0 || !half_taken(out);
        if (*frame & FRAME_MESSAGE && !(*frame & FRAME_DROPPED) && whole) {
            PyObject *bytes = chunk_at(out, place.chunk)->bytes;
            Py_ssize_t size = message_size(PyBytes_AS_STRING(bytes) + place.offset);
            if (size > larger_than) {
                PyObject *entry = Py_BuildValue("Kn", out_sent(out) + i + 1, size);
                if (entry == NULL || PyList_Append(dropped, entry) < 0) {
                    Py_XDECREF(entry);
                    Py_DECREF(dropped);
                    return NULL;
                }
                Py_DECREF(entry);
                drop(out, frame, &place);
            }
        }
        next_place(out, *frame, &place);
    }
    pop_dropped(out);
    return dropped;
}

Py_ssize_t
out_waiting(const Output *out)
{
    Py_ssize_t waiting = 0;
    for (size_t i = 0; i < out->frames.count; i++) {
        waiting += (*frame_at(out, i) & (FRAME_MESSAGE | FRAME_DROPPED)) == FRAME_MESSAGE;
    }
    return waiting;
}
