import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { checkpointText } from '../../rails/tlog/checkpoint.js';
import { leafHash } from '../../rails/tlog/merkle.js';
import { encodeBundle, TILE_WIDTH, tilePath, TileTree } from '../../rails/tlog/tiles.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { LogSigner } from '../../substrate/signing/log-signer.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { AuditObjects } from './audit-objects.js';
import { AuditSignals } from './audit.signals.js';
import { rebuilt } from './audit.rebuild.js';
import { AUDIT_POLICY } from './decision-log-audit.policy.js';
import { DecisionLogAuditStore } from './decision-log-audit.store.js';

const PUTS_AT_ONCE = 8;
const RETRY_MS = 1_000;
/** Looks by itself now and then, for what another process gave a place. */
const LOOK_AGAIN_MS = 2_000;
const OFFERED_MAX = 200_000;

/** The published tree, and the leaves of its last bundle where that is not full. */
interface Growing {
  readonly tree: TileTree;
  tail: readonly Buffer[];
}

/**
 * Carries leaves that have a place into the objects: bundles and tiles first, the signed checkpoint last. A crash leaves an older checkpoint, which is
 * still true, and objects that the next attempt makes again with the same bytes, since a leaf's place never changes. Two processes that write at
 * once write the same.
 */
@Injectable()
export class AuditWriter implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  readonly #ended = new AbortController();
  #bell = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #growing: Growing | undefined;
  /** Leaves that this process has just given their places, so that they are not read back. */
  #offered = new Map<number, readonly Buffer[]>();
  #offeredLeaves = 0;

  constructor(
    private readonly store: DecisionLogAuditStore,
    private readonly objects: AuditObjects,
    private readonly signer: LogSigner,
    private readonly policies: Policies,
    private readonly signals: AuditSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  /** Before anything is consumed: an index that was dropped is made again from the log. */
  async onModuleInit(): Promise<void> {
    const leaves = await rebuilt(this.store, this.objects, this.signer.signer.verifier);
    if (leaves > 0) this.telemetry.logger.warn('dla_index_rebuilt', { leaves });
  }

  onApplicationBootstrap(): void {
    this.#loop = this.#run();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    await this.#loop;
    // What came last should not wait for the next start to be signed.
    try {
      while ((await this.publish()) > 0);
    } catch (error) {
      this.telemetry.logger.warn('dla_last_checkpoint_failed', { detail: String(error) });
    }
  }

  offer(first: number, leaves: readonly Buffer[]): void {
    if (leaves.length === 0) return;
    this.#offered.set(first, leaves);
    this.#offeredLeaves += leaves.length;
    if (this.#offeredLeaves > OFFERED_MAX) this.#forget();
    this.#bell.abort();
  }

  /** One checkpoint over what has a place by now. @returns how many leaves it adds */
  async publish(): Promise<number> {
    const growing = (this.#growing ??= await this.#load());
    const before = growing.tree.size;
    const leaves = await this.#next(before);
    if (leaves.length === 0) return 0;
    const startedMs = this.clock.monotonicMs();
    // The tree grows in memory before it does in the store: after any failure it is read anew.
    this.#growing = undefined;
    const { tree, tail } = growing;
    const full = tree.append(leaves.map((leaf) => leafHash(leaf)));
    const { files, rest } = bundles(before - tail.length, [...tail, ...leaves]);
    for (const { level, index, width, bytes } of [...full, ...tree.partials()])
      files.push([tilePath(level, index, width), bytes]);
    for (let at = 0; at < files.length; at += PUTS_AT_ONCE)
      await Promise.all(files.slice(at, at + PUTS_AT_ONCE).map(([path, bytes]) => this.objects.put(path, bytes)));
    const { signer } = this.signer;
    const note = signer.sign(checkpointText({ origin: signer.verifier.name, size: tree.size, root: tree.root() }));
    await this.objects.putCheckpoint(tree.size, note);
    const mine = await this.store.published(before, tree.size, tree.edge());
    if (!mine) return leaves.length;
    this.#growing = { tree, tail: rest };
    const now = this.clock.monotonicMs();
    this.signals.signed(tree.size, now - startedMs, now);
    return leaves.length;
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const { checkpoint_wait_ms, checkpoint_leaves_max } = this.policies.inForce(AUDIT_POLICY).body;
      try {
        const added = await this.publish();
        // Under load as often as it is full, else after the wait: a checkpoint for every record would be none for anybody.
        if (added >= checkpoint_leaves_max) continue;
        if (added > 0) {
          await this.clock.sleep(checkpoint_wait_ms, this.#ended.signal);
          continue;
        }
        this.#bell = new AbortController();
        if (this.#offered.size > 0) continue;
        await this.clock.sleep(LOOK_AGAIN_MS, AbortSignal.any([this.#bell.signal, this.#ended.signal]));
      } catch (error) {
        this.signals.failed();
        const code = isProbityError(error) ? error.code : 'INTERNAL';
        this.telemetry.logger.error('dla_checkpoint_failed', { code, detail: String(error) });
        await this.clock.sleep(RETRY_MS, this.#ended.signal);
      }
    }
  }

  async #load(): Promise<Growing> {
    const { published, edge } = await this.store.state();
    const tail = published % TILE_WIDTH;
    const kept = tail === 0 ? [] : await this.store.pending(published - tail);
    if (kept.length < tail) throw new ProbityError('INTERNAL', 'the leaves of the last bundle are not at hand');
    return { tree: TileTree.at(published, edge), tail: kept.slice(0, tail) };
  }

  /** The leaves from this place on: what was offered here, or what the store keeps. */
  async #next(from: number): Promise<readonly Buffer[]> {
    const max = this.policies.inForce(AUDIT_POLICY).body.checkpoint_leaves_max;
    const found: Buffer[] = [];
    for (let at = from; found.length < max;) {
      const leaves = this.#offered.get(at);
      if (leaves === undefined) break;
      this.#offered.delete(at);
      this.#offeredLeaves -= leaves.length;
      found.push(...leaves);
      at += leaves.length;
    }
    if (found.length > 0) return found;
    // Something else came before: what is offered here is behind it, and the store has it as well.
    this.#forget();
    return (await this.store.pending(from)).slice(0, max);
  }

  #forget(): void {
    this.#offered = new Map();
    this.#offeredLeaves = 0;
  }
}

/** Bundles from a full one's beginning on, and the leaves of the last one where it is not full. */
function bundles(
  from: number,
  leaves: readonly Buffer[],
): { readonly files: [string, Buffer][]; readonly rest: readonly Buffer[] } {
  const files: [string, Buffer][] = [];
  let rest: readonly Buffer[] = [];
  for (let at = 0; at < leaves.length; at += TILE_WIDTH) {
    const some = leaves.slice(at, at + TILE_WIDTH);
    files.push([tilePath('entries', (from + at) / TILE_WIDTH, some.length), encodeBundle(some)]);
    rest = some.length < TILE_WIDTH ? some : [];
  }
  return { files, rest };
}
