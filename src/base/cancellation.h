/* Keeping a thread's cancellation (pthread_cancel(3)) out of our code. CUDA's functions are no
 * cancellation points, so neither may be what we call in them; a thread that ended in there would
 * leave a lock taken or a thing half done. What a cancellation pending meanwhile does, it does at
 * the program's own next cancellation point. */
#ifndef VRAMGUARD_BASE_CANCELLATION_H
#define VRAMGUARD_BASE_CANCELLATION_H

/* Holds the calling thread's cancellation off until the matching release. They nest. Neither blocks
 * nor fails; errno is kept. */
void vg_cancellation_hold(void);
void vg_cancellation_release(void);

/* Inside a hold: gives the thread back the state it had while it sleeps for long, and takes it away
 * again. In between nothing may be called that is a cancellation point, and no lock be held: a
 * handler of the program's may leave for good by siglongjmp, and the state is then as it was. */
void vg_cancellation_lend(void);
void vg_cancellation_resume(void);

/* The thread has left code of ours otherwise than by its end: all its holds are over. */
void vg_cancellation_reset(void);

#endif
