export { type Authority, type AuthorityOptions, type MemberCertificate, type MemberCertificateOptions, newAuthority } from './certificates.ts'
export { type Console, main } from './main.ts'
