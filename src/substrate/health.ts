/** What a dependency says of itself to `/health/ready` and `probity doctor`. */
export interface Health {
  readonly ok: boolean;
  /** One sentence: what was tried and what came of it. No secret, no path that a caller should not see. */
  readonly detail: string;
  /** How long the trial took. */
  readonly tookMs: number;
}
