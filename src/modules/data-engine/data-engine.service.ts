import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { Objects } from '../../substrate/objects/objects.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import {
  DataEnginePort,
  type Invocation,
  type Preview,
  type PreviewRequest,
  type SealRequest,
  type SealStatus,
  worldPinsOf,
} from './data-engine.port.js';
import { checkPack, generatorSource } from './generate/generator.source.js';
import { checkedMapping, importSource } from './import/import.source.js';
import { PreviewJobs } from './preview-jobs.js';
import { SealJobs } from './seal-jobs.js';
import { SourceStore } from './source-store.js';
import { type FoundWorld, WorldReader } from './world-reader.js';

/** Makes worlds: start-or-status by the world's identity. */
@Injectable()
export class DataEngineService extends DataEnginePort {
  constructor(
    private readonly jobs: SealJobs,
    private readonly previews: PreviewJobs,
    private readonly reader: WorldReader,
    private readonly sources: SourceStore,
    private readonly objects: Objects,
  ) {
    super();
  }

  override async seal(request: Static<typeof SealRequest>, { trace }: CallContext): Promise<SealStatus> {
    const invocation = request.invocation as Invocation;
    const pins = worldPinsOf(invocation);
    const before = this.jobs.status(pins);
    if (before !== null) return before;
    const found = await this.reader.find(pins.manifest_fingerprint);
    if (found !== null) return sealed(found);

    checkParameters(invocation);
    const asked =
      invocation.kind === 'import'
        ? { ...invocation, source: await this.sources.demand(invocation.source) }
        : invocation;
    // Somebody else may have asked while this call was reading the store.
    const meanwhile = this.jobs.status(pins);
    if (meanwhile !== null) return meanwhile;
    this.jobs.begin(asked, asked.kind === 'import' ? importSource(this.objects, asked) : generatorSource(asked), trace);
    return this.jobs.status(pins) ?? { state: 'RUNNING', pins, stage: 'reading', rows_done: 0 };
  }

  override async preview(request: Static<typeof PreviewRequest>, _context: CallContext): Promise<Preview> {
    const mapping = checkedMapping(request.parameters);
    const source = await this.sources.demand(request.source);
    return this.previews.ask({ ...request, source }, mapping);
  }
}

function checkParameters(invocation: Invocation): void {
  if (invocation.kind === 'import') checkedMapping(invocation.parameters);
  else checkPack(invocation.parameters);
}

function sealed({ ref, seal }: FoundWorld): SealStatus {
  return {
    state: seal.status,
    pins: seal.pins,
    stage: 'sealed',
    rows_done: seal.counts.rows_read,
    share_done: 1,
    seal: ref,
  };
}
