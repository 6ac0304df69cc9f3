/* transfer.c - see transfer.h. Hides libcurl.
 *
 * A broken connection is tried again, from where it broke: "Range: bytes=N-" with If-Range, so that a file that changed meanwhile is sent whole. A
 * server that knows no ranges answers 200 with the whole file, and the part begins anew. What the server sends with another status (a page that
 * says why) never reaches the part. */
#include "weights/transfer.h"

#include "core/platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const tlvk__transfer_settings tlvk__transfer_patience = {.connect_seconds = 30, .stall_seconds = 60, .tries = 4, .pause_seconds = 1};

#if TLVK_WITH_CURL
#include <curl/curl.h>

#define MAX_FILE_BYTES ((int64_t)1 << 34) /* no official file comes near; a server that never ends is stopped here */
#define STALL_BYTES_PER_SECOND 1000L
#define MAX_REDIRECTS 5L
#define USER_AGENT "tlvk/0.1"

typedef enum verdict { DONE, AGAIN, FROM_START, GIVE_UP } verdict;

/* One connection after the other to one file. */
typedef struct download {
    const tlvk_context *ctx;
    tlvk__transfer *t;
    CURL *curl;
    FILE *file;
    int64_t start, have, farthest; /* bytes of the part: asked to go on from, in it now, and in it at most so far */
    int64_t range_start, range_total; /* of Content-Range; -1: not said */
    char etag[256];               /* strong; "" where there is none */
    char error[CURL_ERROR_SIZE];
    bool begun;                   /* the answer's body has begun and belongs into the file */
    bool moved, received;         /* this try brought bytes that no try had brought before; any try brought bytes */
    bool mismatch;                /* the answer does not go on where the part ends */
    int write_errno;
} download;

/* The value of header `name` in a line, without white space around it; false where it is another header. */
static bool header_value(const char *line, size_t length, const char *name, char *value, size_t bytes) {
    size_t n = strlen(name);
    if (length <= n || line[n] != ':')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = line[i] >= 'A' && line[i] <= 'Z' ? (char)(line[i] - 'A' + 'a') : line[i];
        if (c != name[i])
            return false;
    }
    const char *p = line + n + 1, *end = line + length;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t size = (size_t)(end - p);
    if (size >= bytes)
        return false;
    memcpy(value, p, size);
    value[size] = '\0';
    return true;
}

static int64_t read_number(const char *text, const char **end) {
    int64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v <= MAX_FILE_BYTES; p++)
        v = 10 * v + (*p - '0');
    *end = p;
    return p == text || v > MAX_FILE_BYTES ? -1 : v;
}

static size_t take_header(char *line, size_t size, size_t count, void *user) {
    download *d = user;
    size_t length = size * count;
    char value[256];
    if (length > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer: of a redirect, the next one */
        d->range_start = d->range_total = -1;
        d->begun = false;
    } else if (header_value(line, length, "etag", value, sizeof value)) {
        snprintf(d->etag, sizeof d->etag, "%s", value[0] == '"' ? value : "");
    } else if (header_value(line, length, "content-range", value, sizeof value) && strncmp(value, "bytes ", 6) == 0) {
        const char *p = value + 6;
        d->range_start = read_number(p, &p);
        const char *slash = strchr(p, '/');
        d->range_total = slash ? read_number(slash + 1, &p) : -1;
    }
    return length;
}

static long http_status(const download *d) {
    long code = 0;
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

static bool restart_file(download *d) {
    FILE *anew = tlvk__file_open(d->t->part, "wb");
    if (!anew) {
        d->write_errno = errno;
        return false;
    }
    fclose(d->file);
    d->file = anew;
    d->have = 0;
    d->t->went_on = false;
    return true;
}

/* At the body's first byte: does it go on where the part ends? */
static bool begin_body(download *d, long code) {
    int64_t length = -1;
    curl_easy_getinfo(d->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    int64_t total = code == 206 ? d->range_total : length;
    if (code == 206 && (d->range_start != d->start || (d->t->total >= 0 && total >= 0 && total != d->t->total))) {
        d->mismatch = true;
        return false;
    }
    if (code == 200 && d->start > 0 && !restart_file(d))
        return false;
    d->t->total = total;
    d->begun = true;
    return true;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *user) {
    download *d = user;
    size_t length = size * count;
    long code = http_status(d);
    if (code != 200 && code != 206)
        return length;
    if (!d->begun && !begin_body(d, code))
        return 0;
    if ((int64_t)length > MAX_FILE_BYTES - d->have) {
        d->write_errno = EFBIG;
        return 0;
    }
    errno = 0;
    if (fwrite(bytes, 1, length, d->file) != length) {
        d->write_errno = errno ? errno : EIO;
        return 0;
    }
    d->have += (int64_t)length;
    d->received = true;
    if (d->have > d->farthest) { /* a server without ranges that breaks off at the same place each time gets nowhere */
        d->farthest = d->have;
        d->moved = true;
    }
    return length;
}

static int take_progress(void *user, curl_off_t expected, curl_off_t now, curl_off_t up_expected, curl_off_t up) {
    (void)expected, (void)now, (void)up_expected, (void)up;
    const download *d = user;
    if (d->begun && d->t->progress)
        d->t->progress(d->have, d->t->total, d->t->user);
    return tlvk__context_cancelled(d->ctx);
}

/* Options that are the same for every try. HTTPS never redirects to HTTP. */
static bool set_up(download *d) {
    const tlvk__transfer_settings *s = d->t->settings;
    CURL *c = d->curl;
    bool secure = strncmp(d->t->address, "https:", 6) == 0;
    return !curl_easy_setopt(c, CURLOPT_URL, d->t->address) && !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https") && !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) &&
           !curl_easy_setopt(c, CURLOPT_MAXREDIRS, MAX_REDIRECTS) && !curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT) &&
           !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) && !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)s->connect_seconds) &&
           !curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_SECOND) && !curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)s->stall_seconds) &&
           !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, d->error) && !curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) &&
           !curl_easy_setopt(c, CURLOPT_HEADERDATA, d) && !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) &&
           !curl_easy_setopt(c, CURLOPT_WRITEDATA, d) && !curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, take_progress) &&
           !curl_easy_setopt(c, CURLOPT_XFERINFODATA, d) && !curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

static const char *words_of(const download *d, CURLcode code) { return d->error[0] ? d->error : curl_easy_strerror(code); }

/* What an answer that came whole means. */
static verdict judge_answer(download *d, tlvk_status *st) {
    long code = http_status(d);
    if (code == 200 || code == 206) {
        if (!d->begun && d->start > 0)
            return FROM_START;
        if (d->t->total >= 0 && d->have != d->t->total) {
            *st = tlvk__fail(TLVK_ERROR_FILE, "the connection ended after %lld of %lld bytes", (long long)d->have, (long long)d->t->total);
            return AGAIN;
        }
        return DONE;
    }
    if (code == 416 && d->range_total == d->start && d->start > 0) { /* nothing is missing */
        d->t->total = d->start;
        return DONE;
    }
    if (code == 416 && d->start > 0)
        return FROM_START;
    *st = tlvk__fail(TLVK_ERROR_FILE, "the server answered with status %ld%s", code, code == 404 ? " (not found)" : code == 403 ? " (forbidden)" : "");
    return code >= 500 || code == 408 || code == 429 ? AGAIN : GIVE_UP;
}

/* What a transfer that libcurl ended means. */
static verdict judge_failure(download *d, CURLcode code, tlvk_status *st) {
    if (d->mismatch)
        return FROM_START;
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK: *st = tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after %lld bytes", (long long)d->have); return GIVE_UP;
    case CURLE_WRITE_ERROR:
        *st = tlvk__fail(TLVK_ERROR_FILE, "cannot write \"%s\": %s", d->t->part, d->write_errno == EFBIG ? "the file has no end" : strerror(d->write_errno));
        return GIVE_UP;
    case CURLE_OUT_OF_MEMORY: *st = tlvk__fail(TLVK_ERROR_MEMORY, "libcurl has no memory"); return GIVE_UP;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: /* without a network from the first: waiting would not help */
        *st = tlvk__fail(TLVK_ERROR_FILE, "%s", words_of(d, code));
        return d->received ? AGAIN : GIVE_UP;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: *st = tlvk__fail(TLVK_ERROR_FILE, "%s", words_of(d, code)); return GIVE_UP;
    default: *st = tlvk__fail(TLVK_ERROR_FILE, "%s", words_of(d, code)); return AGAIN;
    }
}

/* One request for what the part lacks. `whole`: from the first byte on. */
static verdict try_once(download *d, bool whole, tlvk_status *st) {
    char range[32], condition[sizeof d->etag + 16];
    struct curl_slist *headers = NULL;
    uint64_t size = 0;
    d->file = tlvk__file_open(d->t->part, whole ? "wb" : "ab");
    if (!d->file || (!whole && !tlvk__file_size(d->file, &size))) {
        *st = tlvk__fail(TLVK_ERROR_FILE, "cannot open \"%s\": %s", d->t->part, strerror(errno));
        if (d->file)
            fclose(d->file);
        return GIVE_UP;
    }
    d->start = d->have = (int64_t)size;
    d->begun = d->moved = d->mismatch = false;
    d->error[0] = '\0';
    d->t->went_on = d->t->went_on && d->start > 0;
    snprintf(range, sizeof range, "%lld-", (long long)d->start);
    snprintf(condition, sizeof condition, "If-Range: %s", d->etag);
    if (d->start > 0 && d->etag[0])
        headers = curl_slist_append(NULL, condition);
    curl_easy_setopt(d->curl, CURLOPT_RANGE, d->start > 0 ? range : NULL);
    curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(d->curl);
    curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    errno = 0;
    bool closed = fclose(d->file) == 0;
    if (code == CURLE_OK && !closed) {
        d->write_errno = errno;
        code = CURLE_WRITE_ERROR;
    }
    return code == CURLE_OK ? judge_answer(d, st) : judge_failure(d, code, st);
}

/* Waits as long as `seconds` unless cancelled. */
static tlvk_status pause_between(const download *d, double seconds) {
    double end = tlvk__now_seconds() + seconds;
    while (tlvk__now_seconds() < end) {
        if (tlvk__context_cancelled(d->ctx))
            return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after %lld bytes", (long long)d->have);
        tlvk__sleep_seconds(0.05);
    }
    return TLVK_OK;
}

static tlvk_status run_tries(download *d) {
    const tlvk__transfer_settings *s = d->t->settings;
    bool whole = !d->t->go_on;
    double pause = s->pause_seconds;
    tlvk_status st = TLVK_OK;
    for (int idle = 0, restarts = 0;;) {
        verdict v = try_once(d, whole, &st);
        whole = false;
        if (v == DONE)
            return TLVK_OK;
        if (v == GIVE_UP)
            return st;
        if (v == FROM_START) {
            if (++restarts > 2)
                return tlvk__fail(TLVK_ERROR_FILE, "the server's parts do not fit together");
            whole = true;
            d->t->total = -1;
            d->etag[0] = '\0';
            continue;
        }
        idle = d->moved ? 1 : idle + 1;
        pause = d->moved ? s->pause_seconds : pause;
        if (idle >= s->tries)
            return st;
        tlvk__context_log(d->ctx, TLVK_LOG_INFO, "%s: %s; trying again", d->t->address, tlvk__fail_text());
        st = pause_between(d, pause);
        if (st)
            return st;
        pause *= 2;
    }
}

bool tlvk__can_transfer(void) { return true; }

tlvk_status tlvk__transfer_run(const tlvk_context *ctx, tlvk__transfer *t) {
    /* Makes libcurl's global state on first use, which libcurl 7.84 and later do safely from any thread. */
    download d = {.ctx = ctx, .t = t, .curl = curl_easy_init()};
    t->total = -1;
    t->went_on = t->go_on;
    if (!d.curl)
        return tlvk__fail(TLVK_ERROR_MEMORY, "libcurl cannot start");
    tlvk_status st = set_up(&d) ? run_tries(&d) : tlvk__fail(TLVK_ERROR_INTERNAL, "this libcurl (%s) lacks what is needed", curl_version());
    curl_easy_cleanup(d.curl);
    return st;
}

#else

bool tlvk__can_transfer(void) { return false; }

tlvk_status tlvk__transfer_run(const tlvk_context *ctx, tlvk__transfer *t) {
    (void)ctx;
    t->total = -1;
    return tlvk__fail(TLVK_ERROR_FILE, "this library was built without libcurl and fetches nothing");
}

#endif
