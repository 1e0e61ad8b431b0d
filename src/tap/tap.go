// Package tap makes TAP devices: network interfaces whose frames a program reads and writes, here as large as the kernel has them
// (IFF_VNET_HDR; linux/if_tun.h). It needs CAP_NET_ADMIN, /dev/net/tun and the module tun.
package tap

import (
	"errors"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/privilege"
)

// path of the device that makes devices.
const path = "/dev/net/tun"

// What a reader of the device does for the kernel (TUN_F_*).
const (
	checksums = 1
	tso       = 2 | 4 | 8 // IPv4, IPv6, and with ECN
	uso       = 32 | 64   // IPv4 and IPv6, since Linux 6.2
)

// Errors that an operator can do something about. They say what.
var (
	ErrMissing = errors.New(path + " is missing: the kernel's module tun makes it (OpenWrt: kmod-tun); " +
		"give it to a container from outside (docker run --device " + path + " --cap-add NET_ADMIN; systemd-nspawn --bind " + path + ")")
	ErrDenied = errors.New(path + " may not be opened: run it as root or with CAP_NET_ADMIN; " +
		"a container has to be allowed the device from outside (docker run --device " + path + " --cap-add NET_ADMIN)")
	ErrExists = errors.New("an interface of this name exists")
)

// Device is one TAP device. It is an interface for as long as its descriptor, or a copy of it in some process, is open, unless it is to last.
type Device struct {
	// FD is non-blocking and closed on exec. A read gives one frame, or EAGAIN; a write takes one, and EIO says that the interface is down.
	// Both begin with a struct virtio_net_hdr of 10 bytes in the machine's byte order.
	FD int
	// Segments says that UDP comes, and may be written, as frames to be cut; of TCP that is always so.
	Segments bool
}

// Open makes an interface of the calling thread's network namespace, down, with a name of 1 to 15 bytes that is not taken.
func Open(name string) (Device, error) {
	fd, err := open()
	if err != nil {
		return Device{}, err
	}
	d, err := create(fd, name, unix.IFF_TUN_EXCL)
	if err != nil {
		unix.Close(fd)
		return Device{}, phrase.Errorf("make the TAP interface %s: %w", name, err)
	}
	return d, nil
}

// Reopen opens an interface that was to last and whose descriptors are closed. ErrExists: they are not, or it is no TAP interface. The caller
// has seen that there is one of this name, as it would be made otherwise.
func Reopen(name string) (Device, error) {
	fd, err := open()
	if err != nil {
		return Device{}, err
	}
	d, err := create(fd, name, 0)
	if err != nil {
		unix.Close(fd)
		return Device{}, phrase.Errorf("open the TAP interface %s: %w", name, err)
	}
	return d, nil
}

// Last says whether the interface is to stay when its last descriptor is closed, which takes the kernel a hundredth of the time that it takes
// to remove one. It has no carrier then.
func (d Device) Last(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return unix.IoctlSetInt(d.FD, unix.TUNSETPERSIST, value)
}

// Prove reports what keeps this program from making devices, without making one.
func Prove() error {
	fd, err := open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !privilege.Network() { // where anybody may open it, as udev has it
		return privilege.ErrNetwork
	}
	var features uint32
	if err := ioctl(fd, unix.TUNGETFEATURES, unsafe.Pointer(&features)); err != nil {
		return phrase.Errorf(path+" is no TUN/TAP device: %w", err)
	}
	if features&(unix.IFF_TAP|unix.IFF_VNET_HDR) != unix.IFF_TAP|unix.IFF_VNET_HDR {
		return phrase.Errorf("the kernel's TAP devices lack IFF_VNET_HDR: features 0x%s", strconv.FormatUint(uint64(features), 16))
	}
	return nil
}

func open() (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return fd, nil
	case err == unix.ENOENT, err == unix.ENODEV, err == unix.ENXIO, err == unix.ENOTDIR:
		return -1, phrase.Errorf("%w (%w)", ErrMissing, err)
	case err == unix.EPERM, err == unix.EACCES:
		return -1, phrase.Errorf("%w (%w)", ErrDenied, err)
	}
	return -1, phrase.Errorf("open "+path+": %w", err)
}

// ifreq is struct ifreq with flags.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func create(fd int, name string, exclusive uint16) (Device, error) {
	var r ifreq
	if len(name) == 0 || len(name) >= len(r.name) {
		return Device{}, unix.EINVAL
	}
	copy(r.name[:], name)
	r.flags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | exclusive
	err := ioctl(fd, unix.TUNSETIFF, unsafe.Pointer(&r))
	switch err {
	case nil:
		return Adopt(fd)
	case unix.EBUSY, unix.EEXIST:
		return Device{}, phrase.Errorf("%w (%w)", ErrExists, err)
	case unix.EINVAL:
		if exclusive == 0 { // another kind of interface
			err = ErrExists
		}
		return Device{}, err
	case unix.EPERM:
		return Device{}, phrase.Errorf("%w (%w)", privilege.ErrNetwork, err)
	default:
		return Device{}, err
	}
}

// Adopt takes a descriptor over that Open made, in this process or in one before it. It stays the caller's if there is an error.
func Adopt(fd int) (Device, error) {
	size := int32(10)
	if err := ioctl(fd, unix.TUNSETVNETHDRSZ, unsafe.Pointer(&size)); err != nil {
		return Device{}, phrase.Errorf("TUNSETVNETHDRSZ: %w", err)
	}
	d := Device{FD: fd, Segments: true}
	err := offload(fd, checksums|tso|uso)
	if err == unix.EINVAL {
		d.Segments = false
		err = offload(fd, checksums|tso)
	}
	if err != nil {
		return Device{}, phrase.Errorf("TUNSETOFFLOAD: %w", err)
	}
	return d, nil
}

// Name asks the kernel for the interface's name, which may have been changed.
func (d Device) Name() (string, error) {
	var r ifreq
	if err := ioctl(d.FD, unix.TUNGETIFF, unsafe.Pointer(&r)); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(r.name[:]), nil
}

func offload(fd, flags int) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETOFFLOAD, uintptr(flags)); errno != 0 {
		return errno
	}
	return nil
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
