/* For cross compilers that come without one: see hostcrypt.c. */
char *crypt(const char *key, const char *setting);
