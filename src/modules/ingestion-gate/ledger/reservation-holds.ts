import { Injectable } from '@nestjs/common';
import { asTopicName, type Offset } from '../../../rails/eb-ref.js';
import type { LogHold, LogHolder } from '../../../substrate/bus/bus.port.js';
import { Database } from '../../../substrate/database/database.port.js';
import { TRAFFIC_TOPIC } from '../ingestion-gate.port.js';

/**
 * From where the records of reservations would have to be looked for. A gate that died between the append and its admissions leaves them, and whoever
 * finishes what it began must find on the log what stands there: not found, an event would be appended twice.
 */
@Injectable()
export class ReservationHolds implements LogHolder {
  constructor(private readonly database: Database) {}

  async holds(): Promise<readonly LogHold[]> {
    const { rows } = await this.database.query<{ partition: number; high_water: Offset; count: number }>({
      text: `select partition, min(high_water) as high_water, count(*) as count from reservations
             group by partition order by partition`,
      readOnly: true,
    });
    const topic = asTopicName(TRAFFIC_TOPIC);
    return rows.map(({ partition, high_water, count }) => ({
      ...{ topic, partition, offset: high_water },
      why: `${count} reservations of the gate`,
    }));
  }
}
