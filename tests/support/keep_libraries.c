/* keep_libraries.c - in sanitized test programs, drivers and layers stay loaded to the end.
 * The leak checker runs last and could not tell whose code a leak came from once the loader has closed its library. */
__attribute__((visibility("default"))) int dlclose(void *library);

int dlclose(void *library) {
    (void)library;
    return 0;
}
