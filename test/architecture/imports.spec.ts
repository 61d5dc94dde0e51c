import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { circleOf, type SourceText, violationsOf } from './import-rules.js';

const ROOT = process.cwd();

function sources(folder: string): readonly SourceText[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

describe('who may import whom', () => {
  it('holds for every file of the program', () => {
    const files = sources('src');
    expect(files.length).toBeGreaterThan(30);
    const found = files.flatMap(violationsOf).map(({ path, line, message }) => `${path}:${line}: ${message}`);
    expect(found).toEqual([]);
  });

  /** The twins: each rule must refuse the very thing that it is for, and name the way out. */
  const refused: readonly (readonly [string, SourceText, RegExp])[] = [
    [
      'a rails file that imports Nest',
      { path: 'src/rails/x.ts', text: "import { Module } from '@nestjs/common';" },
      /provable without the world/,
    ],
    [
      'a rails file that does I/O',
      { path: 'src/rails/x.ts', text: "import { readFileSync } from 'node:fs';" },
      /provable without the world/,
    ],
    [
      'a rails file that imports a substrate',
      { path: 'src/rails/x.ts', text: "import '../substrate/bus/bus.port.js';" },
      /provable without the world/,
    ],
    [
      'a substrate that imports a module',
      { path: 'src/substrate/bus/x.ts', text: "import { A } from '../../modules/a/a.port.js';" },
      /does not know whom/,
    ],
    [
      "a module that imports another module's service",
      { path: 'src/modules/a/a.service.ts', text: "import { B } from '../b/b.service.js';" },
      /through its port/,
    ],
    [
      "a module that re-exports another module's store",
      { path: 'src/modules/a/a.service.ts', text: "export * from '../b/b.store.js';" },
      /through its port/,
    ],
    [
      "a module that loads another module's service later",
      { path: 'src/modules/a/a.service.ts', text: "const b = await import('../b/b.service.js');" },
      /through its port/,
    ],
    [
      "a module that uses another module's type by import()",
      { path: 'src/modules/a/a.service.ts', text: "type B = import('../b/b.service.js').B;" },
      /through its port/,
    ],
    [
      'a core that reads the clock',
      { path: 'src/modules/a/a.core.ts', text: "import { Clock } from '../../substrate/clock/clock.port.js';" },
      /a core decides/,
    ],
    [
      'a module that asks which roles run',
      { path: 'src/modules/a/a.service.ts', text: "import { UNITS } from '../../app/units.js';" },
      /which roles run/,
    ],
    [
      'a second home for kafkajs',
      { path: 'src/substrate/bus/other.ts', text: "import { Kafka } from 'kafkajs';" },
      /one home/,
    ],
    [
      'a second home for the AWS SDK',
      { path: 'src/modules/a/a.store.ts', text: "import { S3Client } from '@aws-sdk/client-s3';" },
      /one home/,
    ],
    ['pg in a store', { path: 'src/modules/a/a.store.ts', text: "import pg from 'pg';" }, /one home/],
    [
      'the SDK of OpenTelemetry in a unit',
      { path: 'src/modules/a/a.service.ts', text: "import { MeterProvider } from '@opentelemetry/sdk-metrics';" },
      /telemetry\.ts/,
    ],
    [
      'process.env in a unit',
      { path: 'src/modules/a/a.service.ts', text: 'const port = process.env.PORT;' },
      /only src\/app\/profile\.ts/,
    ],
    [
      "process['env'] in a substrate",
      { path: 'src/substrate/bus/x.ts', text: "const port = process['env'].PORT;" },
      /only src\/app\/profile\.ts/,
    ],
    [
      'a destructured environment in the app',
      { path: 'src/app/boot.ts', text: 'const { env } = process;' },
      /only src\/app\/profile\.ts/,
    ],
    [
      'an imported environment',
      { path: 'src/app/boot.ts', text: "import { env } from 'node:process';" },
      /only src\/app\/profile\.ts/,
    ],
  ];

  it.each(refused)('refuses %s', (_name, source, reason) => {
    const found = violationsOf(source);
    expect(found.map(({ message }) => message).join('\n')).toMatch(reason);
  });

  const allowed: readonly (readonly [string, SourceText])[] = [
    ["another module's port", { path: 'src/modules/a/a.service.ts', text: "import { B } from '../b/b.port.js';" }],
    ['the profile reading the environment', { path: 'src/app/profile.ts', text: 'const port = process.env;' }],
    ['a store with entities', { path: 'src/modules/a/a.store.ts', text: "import { Entity } from 'typeorm';" }],
    [
      'a core with the types beside it',
      { path: 'src/modules/a/a.core.ts', text: "import type { X } from './a.types.js';" },
    ],
    ['the Kafka adapter', { path: 'src/substrate/bus/kafka.bus.ts', text: "import { Kafka } from 'kafkajs';" }],
  ];

  it.each(allowed)('allows %s', (_name, source) => {
    expect(violationsOf(source)).toEqual([]);
  });

  it('goes in no circle, types included', () => {
    expect(circleOf(sources('src'))).toEqual([]);
    const circle = [
      { path: 'src/app/a.ts', text: "import { b } from './b.js';" },
      { path: 'src/app/b.ts', text: "import type { C } from './c.js';" },
      { path: 'src/app/c.ts', text: "export * from './a.js';" },
    ];
    expect(circleOf(circle)).toEqual(['src/app/a.ts', 'src/app/b.ts', 'src/app/c.ts', 'src/app/a.ts']);
    expect(circleOf(circle.slice(0, 2))).toEqual([]);
  });
});
