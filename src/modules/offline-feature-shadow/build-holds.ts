import { Injectable } from '@nestjs/common';
import { Bus, type LogHold, type LogHolder } from '../../substrate/bus/bus.port.js';
import { marksOf } from '../../substrate/bus/standing-marks.js';
import { OfflineFeatureShadowStore } from './offline-feature-shadow.store.js';
import { startOf, TOPICS } from './replay-basis.js';

/**
 * What builds under way read of the bus, from their start on. One that waits and may read the archive holds nothing: it takes from there what the bus
 * no longer has when it begins. One that has begun would find a part gone in the midst of it.
 */
@Injectable()
export class BuildHolds implements LogHolder {
  constructor(
    private readonly store: OfflineFeatureShadowStore,
    private readonly bus: Bus,
  ) {}

  async holds(): Promise<readonly LogHold[]> {
    const builds = await this.store.readingTheBus();
    if (builds.length === 0) return [];
    const marks = (await Promise.all(TOPICS.map((topic) => marksOf(this.bus, topic)))).flat();
    return builds.flatMap(({ planId, plan }) =>
      marks.map(({ topic, partition }) => ({
        ...{ topic, partition, offset: startOf(plan, topic, partition) },
        why: `dataset build ${planId.slice(0, 12)}`,
      })),
    );
  }
}
