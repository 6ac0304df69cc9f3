/* transfer.h - one file over HTTP or HTTPS to the disk, gone on with where it broke off.
 * Hides: libcurl, ranges, redirects, retries. What the file is and whether it is right is fetch.c's. */
#ifndef TLVK_TRANSFER_H
#define TLVK_TRANSFER_H

#include "core/context.h"

/* Patience; the zeroed struct is not a default, tlvk__transfer_patience is. */
typedef struct tlvk__transfer_settings {
    int connect_seconds;
    int stall_seconds;       /* less than a kilobyte a second over this time is a connection that stands still */
    int tries;               /* in a row that bring no byte */
    double pause_seconds;    /* before the second try; doubled before each further one */
} tlvk__transfer_settings;
extern const tlvk__transfer_settings tlvk__transfer_patience;

typedef struct tlvk__transfer {
    const char *address;
    const char *part;        /* file that grows; it stays after a failure */
    bool go_on;              /* what an earlier run left in `part` may be the file's beginning */
    const tlvk__transfer_settings *settings;
    void (*progress)(int64_t done, int64_t total, void *user); /* bytes; total -1 while unknown; may be NULL */
    void *user;
    int64_t total;           /* out: the file's size as the server told it; -1: it did not */
    bool went_on;            /* out: `part` begins with what an earlier run left */
} tlvk__transfer;

bool tlvk__can_transfer(void); /* false: built without libcurl, and every transfer is TLVK_ERROR_FILE */
/* `ctx` can cancel it. TLVK_ERROR_FILE says why no more tries were made: not there, no network, disk full, ... */
tlvk_status tlvk__transfer_run(const tlvk_context *ctx, tlvk__transfer *t);

#endif
