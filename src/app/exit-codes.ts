/** What a script learns from the end of the program. */
export const EXIT = {
  /** Everything that was asked for was done. */
  OK: 0,
  /** Something failed, or a check found a fault. */
  FAILED: 1,
  /** What was written is wrong: an option, a role, a profile, a policy. Nothing was started. */
  USAGE: 2,
  /** A graceful stop ran out of time, and work was given up. What was acknowledged is safe. */
  STOP_CUT_SHORT: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
