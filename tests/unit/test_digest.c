/* test_digest.c - MD5 and SHA-256 against the published vectors (RFC 1321, appendix A.5; FIPS 180-4's examples), whole and in pieces. */
#include "core/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void matches_published_vectors(void **state) {
    (void)state;
    static const struct { tlvk__digest_kind kind; const char *text, *hex; } known[] = {
        {TLVK__DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
        {TLVK__DIGEST_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"},
        {TLVK__DIGEST_MD5, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
        {TLVK__DIGEST_MD5, "12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"},
        {TLVK__DIGEST_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {TLVK__DIGEST_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {TLVK__DIGEST_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < TLVK__COUNT(known); i++) {
        for (size_t first = 0; first <= strlen(known[i].text); first++) {
            tlvk__digest d;
            char hex[TLVK__DIGEST_HEX];
            tlvk__digest_init(&d, known[i].kind);
            tlvk__digest_add(&d, known[i].text, first);
            tlvk__digest_add(&d, known[i].text + first, strlen(known[i].text) - first);
            tlvk__digest_hex(&d, hex);
            assert_string_equal(hex, known[i].hex);
        }
    }
}

/* FIPS 180-4's and RFC 1321's long message: a million times "a", in pieces that never end where a block does. */
static void takes_long_messages(void **state) {
    (void)state;
    char piece[997], hex[TLVK__DIGEST_HEX];
    memset(piece, 'a', sizeof piece);
    for (int kind = 0; kind < 2; kind++) {
        tlvk__digest d;
        tlvk__digest_init(&d, kind ? TLVK__DIGEST_SHA256 : TLVK__DIGEST_MD5);
        for (size_t left = 1000000; left > 0;) {
            size_t size = TLVK__MIN(left, sizeof piece);
            tlvk__digest_add(&d, piece, size);
            left -= size;
        }
        tlvk__digest_hex(&d, hex);
        assert_string_equal(hex, kind ? "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" : "7707d6ae4e027c70eea2a935c2296f21");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(matches_published_vectors), cmocka_unit_test(takes_long_messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
