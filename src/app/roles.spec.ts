import { describe, expect, it } from '@jest/globals';
import { TEST_UNITS } from '../../test/program/table.js';
import { ScratchProfile } from '../../test/support/profiles.js';
import { loadProfile } from './profile.js';
import { refuseImpossible, selectUnits } from './roles.js';
import { policyKindsOf } from './unit-table.js';

const ENVIRONMENT = {
  PROBITY_DATABASE_HOST: 'db',
  PROBITY_DATABASE_PORT: '5432',
  PROBITY_DATABASE_NAME: 'probity',
  PROBITY_DATABASE_ADMIN_USER: 'admin',
  PROBITY_DATABASE_ADMIN_PASSWORD: 'x',
  PROBITY_DATABASE_ROLE_SECRET: 'y',
  PROBITY_KAFKA_BROKERS: 'kafka:9092',
  PROBITY_S3_ENDPOINT: 'http://s3:9000',
  PROBITY_S3_ACCESS_KEY_ID: 'z',
  PROBITY_S3_SECRET_ACCESS_KEY: 'z',
};

describe('the choice of roles', () => {
  it('takes all, or those named, in starting order', () => {
    expect(selectUnits(TEST_UNITS, 'all').map(({ role }) => role)).toEqual(['ledger', 'teller']);
    expect(selectUnits(TEST_UNITS, 'teller, ledger').map(({ role }) => role)).toEqual(['ledger', 'teller']);
    expect(selectUnits(TEST_UNITS, 'teller').map(({ role }) => role)).toEqual(['teller']);
  });

  it('guesses what a misspelt role meant', () => {
    expect(() => selectUnits(TEST_UNITS, 'leger')).toThrow('there is no role "leger"; did you mean "ledger"?');
    expect(() => selectUnits(TEST_UNITS, 'teller,bank')).toThrow('there is no role "bank"; there are: ledger, teller');
  });

  it('refuses a caller whose callee is neither here nor addressed, where nothing else could lead to it', () => {
    const profile = new ScratchProfile('dev');
    const load = () => loadProfile(profile.folder, policyKindsOf(TEST_UNITS), ENVIRONMENT);
    try {
      const teller = selectUnits(TEST_UNITS, 'teller');
      expect(() => refuseImpossible(teller, load())).toThrow(/role teller calls ledger, .* rpc\.endpoints\.ledger/);
      expect(() => refuseImpossible(selectUnits(TEST_UNITS, 'all'), load())).not.toThrow();
      profile.edit(profile.wiring, 'endpoints: {}', 'endpoints: { ledger: "http://ledger:8080" }');
      expect(() => refuseImpossible(teller, load())).not.toThrow();
    } finally {
      profile.remove();
    }
  });

  it('lets processes on one data folder find each other', () => {
    const profile = loadProfile('local', policyKindsOf(TEST_UNITS), {});
    expect(() => refuseImpossible(selectUnits(TEST_UNITS, 'teller'), profile)).not.toThrow();
  });
});
