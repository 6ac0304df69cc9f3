/* h5_quiet.h - HDF5 prints its errors by default. These silence it around our own calls and give the program its setting back. */
#ifndef TLVK_H5_QUIET_H
#define TLVK_H5_QUIET_H

#include <hdf5.h>

typedef struct tlvk__h5_quiet { H5E_auto2_t function; void *data; } tlvk__h5_quiet;

static inline void tlvk__h5_quiet_begin(tlvk__h5_quiet *q) {
    H5Eget_auto2(H5E_DEFAULT, &q->function, &q->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static inline void tlvk__h5_quiet_end(const tlvk__h5_quiet *q) { H5Eset_auto2(H5E_DEFAULT, q->function, q->data); }

#endif
