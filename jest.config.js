/**
 * Jest runs the TypeScript sources as ES modules through swc: no build step between an edit and its test.
 * Three sets: `npm test` (everything that needs Node alone), `npm run test:real` (*.real.spec.ts: the same contract
 * suites on Kafka, S3 and Postgres servers whose endpoints the environment names) and `npm run test:faults`.
 */
const sets = {
  own: { testMatch: ['<rootDir>/{src,test}/**/*.spec.ts'], testPathIgnorePatterns: ['\\.real\\.spec\\.ts$'] },
  real: { testMatch: ['<rootDir>/{src,test}/**/*.real.spec.ts'] },
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
  ...sets[process.env.PROBITY_TEST_SET === 'real' ? 'real' : 'own'],
};
