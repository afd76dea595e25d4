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

/* Some bytes to be sent, in one bytes object. */
typedef struct {
    PyObject *owner;
    const char *data;
    Py_ssize_t size;
} Piece;

typedef struct {
    Piece pieces[MOST_PIECES];
    int count;
    Py_ssize_t skip;     /* bytes at the beginning that have been taken */
    Py_ssize_t gathered; /* bytes so far */
} Gather;

static void
gather(Gather *to, PyObject *owner, const char *data, Py_ssize_t size)
{
    Py_ssize_t skipped = to->skip < size ? to->skip : size;
    to->skip -= skipped;
    data += skipped;
    size -= skipped;
    if (size == 0) {
        return;
    }
    to->gathered += size;
    Piece *last = to->count ? &to->pieces[to->count - 1] : NULL;
    if (last != NULL && last->owner == owner && last->data + last->size == data) {
        last->size += size;
        return;
    }
    to->pieces[to->count++] = (Piece){Py_NewRef(owner), data, size};
}

static void
gather_frame(Gather *to, const Output *out, uint64_t frame, const Place *place)
{
    PyObject *bytes = chunk_at(out, place->chunk)->bytes;
    const char *data = PyBytes_AS_STRING(bytes) + place->offset;
    Py_ssize_t size = inline_size(out, frame, place);
    if (!(frame & FRAME_LARGE)) {
        gather(to, bytes, data, size);
        return;
    }
    const Payload *payload = payload_at(out, place->payload);
    gather(to, bytes, data, size - 2);
    gather(to, payload->owner, payload->text.data, payload->text.size);
    gather(to, bytes, data + size - 2, 2);
}

static PyObject *
piece_object(State *state, const Piece *piece)
{
    if (piece->size == PyBytes_GET_SIZE(piece->owner)) {
        return Py_NewRef(piece->owner);
    }
    return room_view(state, piece->owner, (char *)piece->data, piece->size, 1);
}

/* What was gathered as a list. */
static PyObject *
piece_objects(State *state, Gather *from)
{
    PyObject *objects = PyList_New(0);
    for (int i = 0; i < from->count; i++) {
        PyObject *object = objects ? piece_object(state, &from->pieces[i]) : NULL;
        if (object == NULL || PyList_Append(objects, object) < 0) {
            Py_CLEAR(objects);
        }
        Py_XDECREF(object);
        Py_DECREF(from->pieces[i].owner);
    }
    return objects;
}

PyObject *
out_pieces(Output *out, State *state, Py_ssize_t most)
{
    /* No object is made before all is gathered: to make one may collect garbage, and destructors may
       publish. */
    Gather to;
    to.count = 0;
    to.skip = out->taken;
    to.gathered = 0;
    if (out->prefix != NULL) {
        gather(&to, out->prefix, PyBytes_AS_STRING(out->prefix), PyBytes_GET_SIZE(out->prefix));
    }
    Place place = first_place(out);
    for (size_t i = 0; i < out->frames.count; i++) {
        /* A large frame adds up to three pieces. */
        if (to.gathered >= most || to.count > MOST_PIECES - 3) {
            break;
        }
        uint64_t frame = *frame_at(out, i);
        if (!(frame & FRAME_DROPPED)) {
            gather_frame(&to, out, frame, &place);
        }
        next_place(out, frame, &place);
    }
    return piece_objects(state, &to);
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

Dropped *
out_drop_messages(Output *out, Py_ssize_t larger_than, size_t *count)
{
    Dropped *dropped = PyMem_Malloc((out->frames.count + 1) * sizeof(*dropped));
    *count = 0;
    if (dropped == NULL) {
        PyErr_NoMemory();
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
                dropped[(*count)++] = (Dropped){out_sent(out) + i + 1, size};
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
