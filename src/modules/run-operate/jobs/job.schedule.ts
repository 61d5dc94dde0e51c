import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { systemActor } from '../../../rails/actor.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Rounds } from '../../../substrate/clock/rounds.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { JOBS_POLICY } from './jobs.policy.js';
import { JobsService } from './jobs.service.js';

const LOOK_AGAIN_MS = 1_000;

/**
 * Declares a job for each slot of each schedule. Slots are counted from the epoch, and the number of the slot is part of the op_id: of all processes that
 * declare it one is first, and the job runs once. A slot that passed while nobody ran is not made up for.
 */
@Injectable()
export class JobSchedule implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #declared = new Map<string, number>();

  constructor(
    private readonly jobs: JobsService,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: async () => {
        await this.round();
        return 0;
      },
      onFailure: (error) => telemetry.logger.warn('ops_schedule_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  /** @returns how many slots this process was the first to declare */
  async round(): Promise<number> {
    let first = 0;
    for (const { name, kind, every_s, scope, purpose } of this.policies.inForce(JOBS_POLICY).body.schedules) {
      const slot = Math.floor(this.clock.nowMs() / 1_000 / every_s);
      if (this.#declared.get(name) === slot) continue;
      try {
        const op_id = `scheduled.${name}.${every_s}.${slot}`;
        const { outcome } = await this.jobs.declare({ op_id, kind, scope, purpose }, systemActor('ops'));
        if (outcome === 'ACCEPTED') first += 1;
      } catch (error) {
        // One schedule that cannot be declared must not hold up the others; what may pass is tried again within the slot.
        this.telemetry.logger.error('ops_schedule_refused', { name, detail: String(error) });
        if (!isProbityError(error) || error.retryable) continue;
      }
      this.#declared.set(name, slot);
    }
    return first;
  }
}
