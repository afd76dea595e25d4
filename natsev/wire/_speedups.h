/* The parts of the compiled wire. _speedups.c says how they work together. */

#ifndef NATSEV_SPEEDUPS_H
#define NATSEV_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <structmember.h>

/* The limits of shared.py, where their reasons are. */
#define RECEIVE_BUFFER (256 * 1024)
#define LEAST_RECEIVE (16 * 1024)
#define LARGE (16 * 1024)
#define MOST_PIECES 1024
#define MAX_LINE (32 * 1024)
#define MAX_INFO (128 * 1024)
#define MAX_MESSAGE (65 * 1024 * 1024)
#define MAX_CONTROL_LINE 4096

/* What a callback of a subscription and one of a request are offered. */
#define MESSAGE_ARGS 4
#define REPLY_ARGS 3

/* The module's state: Python objects only, which is what lets it be visited as an array. */
typedef struct {
    PyObject *wire_type, *request_type, *window_type, *room_type;
    PyObject *headers, *encode_headers;
    PyObject *check_subject, *check_subscription, *check_queue_group;
    PyObject *buffer_full_error, *max_payload_error, *nats_error, *no_responders, *protocol_error;
    PyObject *make_protocol_error, *make_line_too_long, *check_timeout, *arity;
    PyObject *delivery, *parse_delivery;
    PyObject *info, *err, *ping, *pong, *ok, *yield;
    PyObject *empty, *tobytes, *end, *stream, *seq, *duplicate; /* str */
} State;

/* Some bytes, somebody else's. */
typedef struct {
    const char *data;
    Py_ssize_t size;
} Text;

/* -- A first-in-first-out array (_speedups_queue.c) */

typedef struct {
    char *items;
    size_t item_size, first, count, capacity;
} Queue;

void queue_init(Queue *queue, size_t item_size);
void queue_free(Queue *queue);
int queue_reserve(Queue *queue); /* room for one push; -1 with MemoryError */
void queue_pop(Queue *queue);

static inline void *
queue_at(const Queue *queue, size_t i)
{
    return queue->items + (queue->first + i) * queue->item_size;
}

static inline void *
queue_push(Queue *queue)
{
    return queue_at(queue, queue->count++);
}

/* -- A part of a bytes object, for a memoryview (_speedups_room.c) */

extern PyType_Spec room_spec;

/* A memoryview of *size* bytes at *data*, which lie in *owner*. */
PyObject *room_view(State *state, PyObject *owner, char *data, Py_ssize_t size, int readonly);

/* -- Output (_speedups_output.c) */

enum { FRAME_MESSAGE = 1, FRAME_PING = 2, FRAME_LARGE = 4, FRAME_DROPPED = 8 };

/* A payload that is not copied: it lies in *owner*, a bytes object. */
typedef struct {
    PyObject *owner; /* NULL when its frame was dropped */
    Text text;
} Payload;

typedef struct {
    Queue chunks;       /* of Chunk: where the bytes of frames are */
    Queue frames;       /* of uint64_t: size and flags */
    Queue payloads;     /* of Payload: of the frames that are FRAME_LARGE */
    Py_ssize_t offset;  /* of the first frame in the first chunk */
    PyObject *prefix;   /* bytes that go before the frames and are no frame, or NULL */
    Py_ssize_t taken;   /* of the first frame (of the prefix, while there is one) */
    Py_ssize_t pending; /* bytes waiting, without what has been taken */
    uint64_t appended;  /* frames ever appended */
} Output;

void out_init(Output *out);
void out_free(Output *out);
char *out_reserve(Output *out, Py_ssize_t size); /* where to write *size* bytes of a frame */
/* What was written is a frame of *size* bytes; *payload* goes before its last two. */
void out_commit(Output *out, Py_ssize_t size, int flags, PyObject *owner, Text payload);
int out_append(Output *out, Text frame);
int out_prepend(Output *out, Text data);
PyObject *out_pieces(Output *out, State *state, Py_ssize_t most);
void out_take(Output *out, Py_ssize_t size);
void out_rewind(Output *out);
void out_clear(Output *out);
void out_drop(Output *out, uint64_t number);

/* A message that was given up: its frame, and the size of its headers and payload. */
typedef struct {
    uint64_t frame;
    Py_ssize_t size;
} Dropped;

/* PyMem_Malloc'd, *count* of them; NULL with MemoryError. */
Dropped *out_drop_messages(Output *out, Py_ssize_t larger_than, size_t *count);
Py_ssize_t out_waiting(const Output *out);

static inline uint64_t
out_sent(const Output *out)
{
    return out->appended - out->frames.count;
}

/* -- Input (_speedups_input.c) */

typedef struct {
    uint64_t sid;
    Text subject, reply, headers, payload; /* data is NULL where there is none */
    PyObject *large;                       /* the payload's own bytes object, or NULL */
    Py_ssize_t end;                        /* where the next thing begins */
} Message;

typedef struct {
    PyObject *storage; /* bytes */
    Py_ssize_t capacity, start, end;
    Py_ssize_t searched; /* no line ends between start and here */
    PyObject *large;     /* the payload that is received in place, or NULL */
    Py_ssize_t room;     /* of it still to come */
    char *large_head;    /* its message's line and headers */
    Message large_message;
    PyObject *dead; /* the ProtocolError, or NULL */
} Input;

typedef enum { IN_ERROR = -1, IN_MORE, IN_MESSAGE, IN_EVENT } Step;

int in_init(Input *in);
void in_free(Input *in);
void in_reset(Input *in); /* for a new connection */
PyObject *in_buffer(Input *in, State *state);
int in_received(Input *in, Py_ssize_t size);
int in_feed(Input *in, const char *data, Py_ssize_t size);
/* Look at what is next. A message stays there until in_consume(). */
Step in_next(Input *in, State *state, Message *message, PyObject **event);
void in_consume(Input *in, const Message *message);
int in_finished(Input *in); /* is nothing left? then the buffer starts anew */

/* -- Things by number (_speedups_table.c) */

typedef struct {
    uint64_t number;
    void *thing; /* NULL in a free slot */
} Slot;

typedef struct {
    Slot *slots;
    size_t count, capacity; /* capacity is a power of two, or 0 */
    int shift;              /* 64 less the bits of capacity */
} Table;

int table_reserve(Table *table); /* room for one put; -1 with MemoryError */
void table_put(Table *table, uint64_t number, void *thing);
void *table_get(const Table *table, uint64_t number);
void *table_remove(Table *table, uint64_t number);
Slot *table_sorted(const Table *table); /* malloc'd, a free slot at its end; NULL with MemoryError */
void table_clear(Table *table, void (*drop)(void *));

/* -- The time of requests (_speedups_deadlines.c) */

typedef struct {
    double at; /* seconds of seconds_now() */
    uint64_t number;
} Deadline;

typedef struct {
    Deadline *items; /* a heap */
    size_t count, capacity;
    double told; /* the earliest that on_deadline was told of, or INFINITY */
} Deadlines;

double seconds_now(void);
int deadlines_push(Deadlines *heap, double at, uint64_t number, const Table *requests);
void deadlines_pop(Deadlines *heap);
void deadlines_clear(Deadlines *heap);

/* -- The types (_speedups_request.c, _speedups_window.c, _speedups_wire.c) */

/* What a request makes of a reply: see shared.py. */
enum { READS_PAYLOAD, READS_ACK, READS_SEQUENCE, READS_WINDOW, READS_NOTHING };

typedef struct {
    PyObject_HEAD
    PyObject *callback;
    Py_ssize_t waiting; /* requests of it that wait for their reply */
    Py_ssize_t low;     /* where the callback is called before none waits */
} Window;

typedef struct {
    PyObject_HEAD
    PyObject *callback; /* a Window for READS_WINDOW */
    int nargs;
    char multi, reads;
    uint64_t number; /* 0: it has none yet */
    unsigned long long frame;
    unsigned long long seq; /* READS_WINDOW: of the acknowledgement, 0 before */
    double deadline;        /* INFINITY: none */
} Request;

typedef struct {
    uint64_t sid;
    PyObject *subject, *queue_group; /* str; queue_group may be NULL */
    PyObject *callback;
    int nargs;
    uint64_t max_msgs, delivered;
    uint64_t base; /* delivered before this connection: the server does not count those */
    Text text;     /* the subject's UTF-8 */
} Subscription;

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *on_output, *on_exception, *on_deadline, *refused, *inbox;
    char live, headers, dispatching;
    Py_ssize_t max_payload, max_output;
    unsigned long long msgs_in, msgs_out, bytes_in, bytes_out;
    Table subscriptions, requests;
    uint64_t last_sid, inbox_sid, last_token;
    char *reply; /* a request's reply subject: the inbox, and room for a token */
    Py_ssize_t inbox_size;
    Deadlines deadlines;
    Output out;
    Input in;
} Wire;

extern PyType_Spec request_spec, window_spec, wire_spec;

/* Enter a subscription, whose references are taken over; 0 with an exception. */
uint64_t add_subscription(Wire *self, PyObject *subject, PyObject *queue_group, PyObject *callback,
                          int nargs, unsigned long long max_msgs);
void subscription_free(void *subscription);

/* -- Requests (_speedups_requests.c) */

int inbox_set(Wire *self, PyObject *inbox);
PyObject *request_token(const Request *request);         /* str */
Window *window_of(const State *state, const Request *request); /* borrowed, NULL where it has none */
uint64_t number_of(Text reply_subject);                  /* of its last token; 0: it is nobody's */
PyObject *take_request(Wire *self, uint64_t number); /* out of the table; the caller owns it */
PyObject *take_requests(Wire *self, uint64_t frame);
PyObject *drop_messages(Wire *self, Py_ssize_t larger_than);

PyObject *wire_expect(Wire *self, PyObject *request);
PyObject *wire_request(Wire *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *wire_forget(Wire *self, PyObject *object);
PyObject *wire_expired(Wire *self, PyObject *ignored);
PyObject *wire_wait(Wire *self, PyObject *ignored);
PyObject *get_requests(Wire *self, void *closure);

/* -- Headers (_speedups_headers.c) */

PyObject *encode_headers(State *state, PyObject *headers); /* bytes */

/* -- Publishing (_speedups_publish.c) */

/* A payload or a block of headers, while a call looks at it. */
typedef struct {
    Text text;
    PyObject *bytes; /* the bytes object that holds it and cannot change, or NULL */
    Py_buffer view;  /* held where view.obj is not NULL */
} Data;

int legal_subject(Wire *self, PyObject *subject, const char *kind, Text *text);
int payload_data(Wire *self, PyObject *payload, Data *data);
int headers_data(Wire *self, PyObject *headers, Data *data);
void data_release(Data *data);
int append_message(Wire *self, Text subject, Text reply, const Data *headers, Data *payload);
int append_frame(Wire *self, Text frame);
int tell_output(Wire *self, Py_ssize_t pending_before);
int check_line(State *state, Text line);
int take_arguments(const char *function, const char *const *names, int required, int most,
                   PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **values);

/* -- Delivering (_speedups_deliver.c) */

int deliver(Wire *self, const Message *message); /* 0, or -1 with an exception to leave with */

/* -- PubAcks (_speedups_puback.c) */

typedef struct {
    Text stream;
    unsigned long long sequence;
    int duplicate;
} PubAck;

int read_puback(Text text, PubAck *ack); /* 1 where it has the common shape */
PyObject *parse_puback(PyObject *module, PyObject *data);

/* -- Reply subjects of delivered messages (_speedups_delivery.c) */

PyObject *parse_delivery(PyObject *module, PyObject *reply);

/* -- Callbacks (_speedups_arity.c) */

int arity(State *state, PyObject *callback, int passed); /* -1 with an exception */
PyObject *arity_function(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
