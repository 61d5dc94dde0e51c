import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { digestCanonical } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import type { Preview, PreviewRequest } from './data-engine.port.js';
import type { Mapping } from './import/mapping.schema.js';
import { FilePreview } from './import/preview.js';

const JOBS_MAX = 2;

/** Finished previews that are kept for who asks again: at most a thousand rows each. */
const KEPT_MAX = 16;

interface Job {
  readonly preview: FilePreview;
  readonly ended: Promise<void>;
  running: boolean;
  error: unknown;
}

/** Previews by what was asked: begun by the first question, answered by the later ones. */
@Injectable()
export class PreviewJobs implements OnModuleDestroy {
  readonly #jobs = new Map<string, Job>();
  readonly #stop = new AbortController();

  constructor(private readonly objects: Objects) {}

  /** @throws ProbityError ENGINE_BUSY, ENGINE_STOPPED, and with what the reading of the file ended */
  ask(request: Static<typeof PreviewRequest>, mapping: Mapping): Preview {
    const name = digestCanonical(request);
    const known = this.#jobs.get(name);
    const job = known ?? this.#begin(request, mapping);
    // Asked for last, kept longest.
    this.#jobs.delete(name);
    if (job.error !== undefined) throw job.error as Error;
    this.#jobs.set(name, job);
    this.#forget();
    return job.preview.report();
  }

  async onModuleDestroy(): Promise<void> {
    this.#stop.abort(new ProbityError('ENGINE_STOPPED', 'the program stops'));
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended));
  }

  #begin(request: Static<typeof PreviewRequest>, mapping: Mapping): Job {
    this.#stop.signal.throwIfAborted();
    if ([...this.#jobs.values()].filter(({ running }) => running).length >= JOBS_MAX) {
      throw new ProbityError('ENGINE_BUSY', `${JOBS_MAX} files are being previewed`);
    }
    const preview = new FilePreview();
    const work = preview.run(this.objects, request, mapping, this.#stop.signal);
    const job: Job = { preview, running: true, error: undefined, ended: Promise.resolve() };
    return Object.assign(job, {
      ended: work
        .catch((error: unknown) => {
          job.error = error ?? new Error('rejected with nothing');
        })
        .finally(() => {
          job.running = false;
        }),
    });
  }

  #forget(): void {
    for (const [name, { running }] of this.#jobs) {
      if (this.#jobs.size <= KEPT_MAX) return;
      if (!running) this.#jobs.delete(name);
    }
  }
}
