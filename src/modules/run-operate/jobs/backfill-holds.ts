import { Injectable } from '@nestjs/common';
import { asBasis, nextOffset } from '../../../rails/basis.js';
import type { Offset } from '../../../rails/eb-ref.js';
import { Bus, type LogHold, type LogHolder } from '../../../substrate/bus/bus.port.js';
import { BACKFILL_TOPICS, BackfillPlans } from './backfill-plans.js';
import { JobStore } from './job.store.js';
import { BACKFILL } from './kinds/backfill.job.js';

/**
 * What backfills under way read of the bus, until they end: what their plan has on it, and everything behind their basis, which a cutover adds.
 */
@Injectable()
export class BackfillHolds implements LogHolder {
  constructor(
    private readonly jobs: JobStore,
    private readonly plans: BackfillPlans,
    private readonly bus: Bus,
  ) {}

  async holds(): Promise<readonly LogHold[]> {
    const running = await this.jobs.underWay(BACKFILL);
    const held: LogHold[] = [];
    for (const opId of running) {
      const plan = await this.plans.standing(opId);
      if (plan === null) continue;
      for (const topic of BACKFILL_TOPICS)
        for (const { partition } of await this.bus.marks(topic)) {
          const onBus = plan.pieces.filter(
            (piece) => piece.topic === topic && piece.partition === partition && piece.source === 'bus',
          );
          const behind = nextOffset(asBasis(plan.basis), topic, partition);
          const offset = Math.min(behind, ...onBus.map(({ start }) => start)) as Offset;
          held.push({ topic, partition, offset, why: `backfill ${opId}` });
        }
    }
    return held;
  }
}
