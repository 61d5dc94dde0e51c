import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Bus, type BusProducer, type PartitionAppend } from '../../../../src/substrate/bus/bus.port.js';
import { asTopicName } from '../../../../src/rails/eb-ref.js';
import { partitionFor } from '../../../../src/substrate/bus/partition.core.js';
import { objectKey } from '../../../../src/rails/ref.js';
import { Objects } from '../../../../src/substrate/objects/objects.port.js';
import type { Context } from '@opentelemetry/api';
import { Telemetry } from '../../../../src/substrate/telemetry/telemetry.port.js';
import type { CallContext } from '../../../../src/substrate/rpc/rpc.port.js';
import type { Deposit } from '../ledger/ledger.core.js';
import { type Balance, LedgerPort } from '../ledger/ledger.port.js';
import { TellerStore } from './teller.store.js';

export const DEPOSITS_TOPIC = 'test.deposits.v1';

/** Takes deposits once each, keeps a slip of each batch, and asks the ledger for balances. */
@Injectable()
export class TellerService implements OnModuleDestroy {
  readonly #topic = asTopicName(DEPOSITS_TOPIC);
  #producer: Promise<BusProducer> | undefined;

  constructor(
    private readonly store: TellerStore,
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly ledger: LedgerPort,
    private readonly telemetry: Telemetry,
  ) {}

  async take(deposits: readonly Deposit[], trace: Context): Promise<{ readonly taken: number; readonly slip: string }> {
    const partitions = await this.bus.partitionsOf(this.#topic);
    const headers: Record<string, string> = {};
    this.telemetry.inject(trace, headers);
    const recordsOfFresh = (ids: ReadonlySet<string>): readonly PartitionAppend[] =>
      recordsOf({ topic: this.#topic, partitions, headers }, deposits, ids);
    const fresh = await this.store.take(deposits, recordsOfFresh);
    if (this.bus.transactional === undefined) {
      const batch = recordsOfFresh(fresh);
      if (batch.length > 0) await (await this.#open()).append(batch);
    }
    const slip = Buffer.from(JSON.stringify(deposits.map(({ deposit_id }) => deposit_id)));
    const key = objectKey(`teller/slips/${deposits[0]?.deposit_id ?? 'none'}`);
    const { ref } = await this.objects.putIfAbsent(key, slip, { mediaType: 'application/json' });
    return { taken: fresh.size, slip: ref.locator };
  }

  async balance(account: string, context: CallContext): Promise<Balance> {
    return await this.ledger.balance({ account }, context);
  }

  async onModuleDestroy(): Promise<void> {
    await (await this.#producer)?.close();
  }

  #open(): Promise<BusProducer> {
    this.#producer ??= this.bus.openProducer({ name: 'deposits' });
    return this.#producer;
  }
}

function recordsOf(
  {
    topic,
    partitions,
    headers,
  }: { topic: PartitionAppend['topic']; partitions: number; headers: Readonly<Record<string, string>> },
  deposits: readonly Deposit[],
  fresh: ReadonlySet<string>,
): readonly PartitionAppend[] {
  const byPartition = new Map<number, PartitionAppend['records'][number][]>();
  for (const deposit of deposits) {
    if (!fresh.has(deposit.deposit_id)) continue;
    const partition = partitionFor(deposit.account, partitions);
    const records = byPartition.get(partition) ?? [];
    records.push({ key: deposit.account, value: Buffer.from(JSON.stringify(deposit)), headers });
    byPartition.set(partition, records);
  }
  return [...byPartition].map(([partition, records]) => ({ topic, partition, records }));
}
