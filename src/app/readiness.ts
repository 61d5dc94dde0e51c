import type { Health } from '../substrate/health.js';

export interface Dependency {
  readonly name: string;
  readonly check: () => Promise<Health>;
}

export interface ReadinessReport {
  readonly ready: boolean;
  readonly roles: readonly string[];
  readonly dependencies: readonly { readonly name: string; readonly health: Health }[];
}

/** The longest that one dependency may keep `/health/ready` waiting; probes usually give up after a second or two. */
const CHECK_LIMIT_MS = 1_500;

/**
 * What this process needs to take work. It is ready from the end of its start to the beginning of its stop, as long as
 * every dependency answers.
 */
export class Readiness {
  #phase: 'starting' | 'serving' | 'stopping' = 'starting';

  constructor(
    readonly version: string,
    private readonly roles: readonly string[],
    private readonly dependencies: readonly Dependency[],
  ) {}

  get stopping(): boolean {
    return this.#phase === 'stopping';
  }

  becomeServing(): void {
    if (this.#phase === 'starting') this.#phase = 'serving';
  }

  becomeStopping(): void {
    this.#phase = 'stopping';
  }

  async report(): Promise<ReadinessReport> {
    const checked = await Promise.all(
      this.dependencies.map(async ({ name, check }) => ({ name, health: await withinLimit(check) })),
    );
    const phase = { name: 'process', health: { ok: this.#phase === 'serving', detail: this.#phase, tookMs: 0 } };
    const dependencies = [phase, ...checked];
    return { ready: dependencies.every(({ health }) => health.ok), roles: this.roles, dependencies };
  }
}

/** A check that hangs or throws is an answer, too: not ok. */
async function withinLimit(check: () => Promise<Health>): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Health>((resolve) => {
    timer = setTimeout(() => {
      resolve({ ok: false, detail: `no answer within ${CHECK_LIMIT_MS} ms`, tookMs: CHECK_LIMIT_MS });
    }, CHECK_LIMIT_MS);
  });
  const answer = check().catch((error: unknown): Health => {
    return { ok: false, detail: error instanceof Error ? error.message : 'the check failed', tookMs: 0 };
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
