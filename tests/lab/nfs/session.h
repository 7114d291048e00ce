/* A mounted export that outlives its connection. */
#ifndef SESSION_H
#define SESSION_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <nfsc/libnfs.h>

struct options {
    const char *server, *path;
    int version, port, mount_port, soft;
};

struct file; /* an open file, opened again where its connection was lost */

int session_start(const struct options *options);

/* Runs an operation under the session's lock with the credentials of the calling process;
   on a lost connection it waits for the server and runs it again. */
typedef int operation(struct nfs_context *nfs, void *arguments);
int session_run(operation *run, void *arguments);

struct file *file_open(const char *path, int flags, int create, mode_t mode, int *error);
int file_run(struct file *file, int (*run)(struct nfs_context *, struct nfsfh *, void *), void *arguments);
int file_lock(struct file *file, struct nfs4_flock *range, int wait);
int file_test_lock(struct file *file, struct nfs4_flock *range); /* -EAGAIN or -EACCES: another client holds it */
void file_close(struct file *file);
void files_renamed(const char *from, const char *to);
void session_keep_lease(void); /* starts the thread that does */

#endif
