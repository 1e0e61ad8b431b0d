GO_ARCH_DEPENDS := @(aarch64||arm||i386||mips||mipsel||mips64||mips64el||riscv64||x86_64)
