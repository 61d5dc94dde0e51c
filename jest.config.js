/**
 * Jest runs the TypeScript sources as ES modules through swc: no build step between an edit and its test.
 * Four sets: `npm test`, `npm run test:faults` (both need Node alone), `npm run test:real` (*.real.spec.ts: the same suites
 * on Kafka, S3 and Postgres servers that the environment names) and `npm run test:data` (*.data.spec.ts: on a file of
 * others' data that the environment names).
 */
const ELSEWHERE = '\\.(real|data)\\.spec\\.ts$';
const sets = {
  own: {
    testMatch: ['<rootDir>/{src,test}/**/*.spec.ts'],
    testPathIgnorePatterns: [ELSEWHERE, '<rootDir>/test/faults/'],
  },
  faults: { testMatch: ['<rootDir>/test/faults/**/*.spec.ts'], testPathIgnorePatterns: [ELSEWHERE] },
  real: { testMatch: ['<rootDir>/{src,test}/**/*.real.spec.ts'] },
  data: { testMatch: ['<rootDir>/test/**/*.data.spec.ts'] },
};

export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.build/'],
  testTimeout: 60_000,
  // Most of a suite's time is waiting for servers that start, die and come back. More workers than this and they starve each other.
  maxWorkers: 2,
  ...sets[process.env.PROBITY_TEST_SET ?? 'own'],
};
