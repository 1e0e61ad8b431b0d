# The part of OpenWrt's build system that openwrt/*/Makefile needs in order to install files and to say what a package
# is, without the SDK. The package build and the tests use it:
#
#   make -C openwrt/NAME TOPDIR=.../src/packaging/openwrt GO_PKG_BUILD_BIN_DIR=DIR DESTDIR=DIR install-PACKAGE
#   make -C openwrt/NAME TOPDIR=.../src/packaging/openwrt show-PACKAGE
INCLUDE_DIR := $(TOPDIR)/include
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_CONF := install -m0600
INSTALL_DATA := install -m0644
CP := cp -fpR
